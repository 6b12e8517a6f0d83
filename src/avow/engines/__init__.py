"""Models that run on this machine, each in a process of its own.

An engine is an upstream like any other, only nearer: it speaks OpenAI over a unix socket in a private folder, knows no
person, no key and no database, and remembers nothing. What it is asked leaves its memory: the text a few seconds after the
connection ends, its tokens when the engine comes to rest, the rest when it falls asleep (`llm.IDLE_S`). Nothing that it is
asked reaches a log or a disk.

Others use `model.locate()` (is the model here, and is it the one we know), `llm.Engine` (what the gateway's upstream table
needs), `llm.to_theirs()` (what goes in), and `llm.serve()` (the body of the process).
"""
