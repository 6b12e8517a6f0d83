"""Measurements: `python -m bench` prints the tables and writes `bench/results/*.json`.

`gateway` compares the gateway with its peers on one core; `path` takes a completion's path apart; `ledger` measures reserve and
settle, `growth` what they cost when much is stored. What is measured is printed beside the bars (met, not met);
nothing fails because a machine is slow.
"""
