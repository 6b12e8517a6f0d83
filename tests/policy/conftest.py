"""Generated examples are judged by what they show, never by how long a busy machine takes over them."""

from hypothesis import HealthCheck, settings

settings.register_profile("avow", deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
settings.load_profile("avow")
