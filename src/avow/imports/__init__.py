"""Moving here from another gateway: what its files say becomes a plan, and a plan becomes upstreams, models and keys.

An import only adds. What is there already under the same name stays as it is, so a second run changes nothing and one that was
cut short goes on. A restriction is never dropped in silence: what cannot be carried over is left out, with the reason. Nobody is
made an account: keys go to people who have one here. A provider that comes this way is an outside party of which nothing is
known, and gets no content until the operator declares how it handles data (`gateway.handling`).

`litellm` and `new_api` read files into a `plan.Plan`, a value; `carrying` compares it with what is there and carries it out.
"""
