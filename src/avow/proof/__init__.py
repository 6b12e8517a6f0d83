"""Evidence that the published sentences are true: probes look at the running system, and what they find is public.

A probe answers one of four words. `proved`: it looked, and it is so. `failed`: it looked, and it is not so.
`unproved`: it could not look. `attested`: an organisational claim with a valid document behind it. `unproved` is never
shown as good, and evidence older than a day is `unproved`. A probe that searches for something absent must first find
a control that it has planted; one that cannot find its control has failed.
"""
