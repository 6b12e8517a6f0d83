from pathlib import Path

import pytest

from avow import settings
from avow.settings import SettingsWrong


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    (tmp_path / "avow.toml").write_text('port = 9001\npolicy = "infiner"\n')
    environment = {"AVOW_HOME": str(tmp_path), "AVOW_PORT": "9002", "PATH": "/bin"}
    read = settings.read(environment)
    assert (read.port, read.policy, read.home_path) == (9002, "infiner", tmp_path)
    assert settings.read(environment, port=9003).port == 9003


def test_an_unknown_key_is_refused_and_the_nearest_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsWrong) as refused:
        settings.read({"AVOW_HOME": str(tmp_path), "AVOW_PORTT": "1"})
    assert "AVOW_PORT?" in refused.value.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "eighty"),
        ("TLS_CERT", "/nowhere.pem"),
        ("SMTP_URL", "http://relay"),
        ("WORKERS", "-1"),
        ("TLS_KEY", "/nowhere.pem"),
    ],
)
def test_a_value_that_cannot_work_is_refused_at_start(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsWrong):
        settings.read({"AVOW_HOME": str(tmp_path), f"AVOW_{name}": value})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PORT", "abc", "AVOW_PORT takes a whole number, for example 8080."),
        ("OTLP_SHARE", "much", "AVOW_OTLP_SHARE takes a number, for example 0.05."),
        ("ENGINE", "perhaps", "AVOW_ENGINE takes true or false."),
    ],
)
def test_a_value_of_another_kind_is_refused_by_the_settings_name(
    tmp_path: Path, name: str, value: str, says: str
) -> None:
    with pytest.raises(SettingsWrong) as refused:
        settings.read({"AVOW_HOME": str(tmp_path), f"AVOW_{name}": value})
    assert str(refused.value) == says
    (tmp_path / "avow.toml").write_text("metrics_token = 17")
    with pytest.raises(SettingsWrong, match="AVOW_METRICS_TOKEN takes a text"):
        settings.read({"AVOW_HOME": str(tmp_path)})


def test_the_file_must_be_readable(tmp_path: Path) -> None:
    (tmp_path / "avow.toml").write_text("port = = 1")
    with pytest.raises(SettingsWrong, match=r"avow\.toml"):
        settings.read({"AVOW_HOME": str(tmp_path)})
