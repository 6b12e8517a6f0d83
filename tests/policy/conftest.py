"""Generated examples are judged by what they show, never by how long a busy machine takes over them."""

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "avow",
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
settings.load_profile("avow")
