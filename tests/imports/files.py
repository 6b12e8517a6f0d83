"""Files as the two programs write them, made up by hand; `ada@example.org` stands for whoever has an account."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

CONFIG = """
model_list:
  - model_name: gpt-4o
    litellm_params: &azure
      model: azure/gpt-4o-eu
      api_base: https://eu.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY_EU
      api_version: "2024-10-21"
      rpm: 60
    model_info: {base_model: azure/gpt-4o, max_input_tokens: 128000, max_output_tokens: 16384}
  - model_name: gpt-4o
    litellm_params:
      <<: *azure
      model: azure/gpt-4o-ca
      api_base: https://ca.openai.azure.com/
      order: 1
      extra_headers: {AI-Resource-Group: mine}
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_key: os.environ/ANTHROPIC_API_KEY
      input_cost_per_token: 3e-06
      output_cost_per_token: 0.000015
      cache_read_input_token_cost: 3e-07
  - model_name: house
    litellm_params: {model: openai/qwen, api_base: "HOUSE", api_key: none}
    model_info: {input_cost_per_token: 0, output_cost_per_token: 0, max_tokens: 4096, max_input_tokens: 32768}
  - model_name: bedrock-claude
    litellm_params: {model: bedrock/us.anthropic.claude, aws_region_name: us-east-1}
  - model_name: free-lunch
    litellm_params: {model: openai/gpt-nobody-priced, api_key: sk-in-the-file}
  - model_name: "*"
    litellm_params: {model: "openai/*", api_key: os.environ/OPENAI_API_KEY}
  - model_name: forgotten
    litellm_params: {model: mistral/large, api_key: os.environ/MISTRAL_API_KEY, input_cost_per_token: 1e-6}
litellm_settings:
  drop_params: true
  fallbacks: [{"claude": ["gpt-4o"]}]
router_settings:
  routing_strategy: latency-based-routing
  model_group_alias: {"gpt-4": "gpt-4o"}
general_settings:
  master_key: sk-1234
  database_url: postgresql://somebody:secret@host/db
"""
ENVIRONMENT = {"AZURE_API_KEY_EU": "azure-key-1", "ANTHROPIC_API_KEY": "sk-ant-1", "OPENAI_API_KEY": "sk-o"}
PRICES = {
    "azure/gpt-4o": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "max_tokens": 16384},
    "sample_spec": {"input_cost_per_token": 0},
}
USERS = """user_id,user_email,max_budget
u-ada,ada@example.org,
u-bob,bob@example.org,
"""
KEYS = """token,key_name,key_alias,spend,expires,models,user_id,team_id,blocked,tpm_limit,rpm_limit,max_budget,\
budget_duration,permissions
aa01,sk-...1,ci,1.25,,{},u-ada,,f,100000,60,10,,{}
aa02,sk-...2,monthly,0,2099-01-01 00:00:00,"{house,gpt-4o}",u-ada,,,,,5.5,30d,{}
aa03,sk-...3,weekly,0,,{house},u-ada,,,,,3,7d,{}
aa04,sk-...4,old,0,2020-01-01 00:00:00,{},u-ada,,,,,,,{}
aa05,sk-...5,blocked,0,,{},u-ada,,t,,,,,{}
aa06,sk-...6,team,0,,{all-team-models},u-ada,team-1,,,,,,{}
aa07,sk-...7,special,0,,{},u-ada,,,,,,,"{""get_spend_routes"": true}"
aa08,sk-...8,stranger,0,,{},u-bob,,,,,,,{}
aa09,sk-...9,nobodys,0,,{},,,,,,,,{}
"""

CHANNELS: list[dict[str, Any]] = [
    {
        **{"id": 1, "type": 8, "status": 1, "name": "house", "weight": 3, "priority": 0, "group": "default"},
        **{"key": "sk-house", "base_url": "HOUSE", "models": "qwen,small", "model_mapping": '{"qwen":"qwen3-32b"}'},
    },
    {
        **{"id": 2, "type": 1, "status": 1, "name": "two keys", "weight": 0, "priority": 10, "group": "vip"},
        **{"key": "sk-a\nsk-b\nsk-off", "base_url": "", "models": "gpt-4o,qwen", "model_mapping": ""},
        "channel_info": '{"is_multi_key":true,"multi_key_status_list":{"2":2}}',
    },
    {"id": 3, "type": 2, "status": 1, "name": "midjourney", "key": "k", "base_url": "", "models": "mj_imagine"},
    {"id": 4, "type": 14, "status": 2, "name": "off", "key": "k", "base_url": "", "models": "claude"},
    {"id": 5, "type": 14, "status": 1, "name": "claude", "key": "sk-ant", "base_url": None, "models": "claude,dear"},
]
USERS_THERE: list[dict[str, Any]] = [
    {"id": 7, "username": "ada", "email": "ada@example.org", "status": 1, "quota": 2_500_000, "deleted_at": None},
    {"id": 8, "username": "root", "email": "", "status": 1, "quota": 0, "deleted_at": None},
    {"id": 9, "username": "banned", "email": "bad@example.org", "status": 2, "quota": 0, "deleted_at": None},
]
TOKENS: list[dict[str, Any]] = [
    {
        **{"id": 1, "user_id": 7, "key": "PLAINKEYOFADA", "status": 1, "name": "app", "created_time": 1700000000},
        **{"expired_time": -1, "remain_quota": 1_250_001, "unlimited_quota": 0, "model_limits_enabled": 1},
        **{"model_limits": "qwen,gpt-4o", "allow_ips": "203.0.113.7\n198.51.100.0/24", "deleted_at": None},
    },
    {
        **{"id": 2, "user_id": 7, "key": "K2", "status": 1, "name": "all", "created_time": 1700000001},
        **{"expired_time": 4102444800, "unlimited_quota": 1, "group": "vip", "deleted_at": None},
    },
    {"id": 3, "user_id": 8, "key": "K3", "status": 1, "name": "root's", "expired_time": -1, "unlimited_quota": 1},
    {"id": 4, "user_id": 7, "key": "K4", "status": 3, "name": "expired", "expired_time": 1},
    {"id": 5, "user_id": 7, "key": "K5", "status": 1, "name": "gone", "deleted_at": "2026-01-01 00:00:00"},
    {"id": 6, "user_id": 9, "key": "K6", "status": 1, "name": "banned", "expired_time": -1, "unlimited_quota": 1},
]
OPTIONS: list[dict[str, Any]] = [
    {"key": "ModelRatio", "value": json.dumps({"qwen": 0.125, "gpt-4o": 1.25, "claude": 1.5, "small": 0})},
    {"key": "CompletionRatio", "value": json.dumps({"qwen": 1, "gpt-4o": 4, "claude": 5})},
    {"key": "CacheRatio", "value": json.dumps({"gpt-4o": 0.5})},
    {"key": "ModelPrice", "value": json.dumps({"mj_imagine": 0.1})},
    {"key": "GroupRatio", "value": json.dumps({"default": 1, "vip": 0.5})},
    {"key": "QuotaPerUnit", "value": "500000.000000"},
]
TABLES = {"channels": CHANNELS, "tokens": TOKENS, "users": USERS_THERE, "options": OPTIONS}


def database(path: Path, house: str = "http://127.0.0.1:9") -> Path:
    """An SQLite file with these tables, as new-api makes one."""
    made = sqlite3.connect(path)
    for name, rows in TABLES.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        made.execute(f'CREATE TABLE "{name}" ({", ".join(f"{chr(34)}{column}{chr(34)}" for column in columns)})')
        for row in rows:
            values = [house if row.get(column) == "HOUSE" else row.get(column) for column in columns]
            made.execute(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(columns))})', values)
    made.commit()
    made.close()
    return path
