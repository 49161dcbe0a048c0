"""Django's cache: its own Redis backend and django-redis, with the same assertions.

Usage: django_cache.py PORT FOLDER
"""

import sys
import time

import django
from django.conf import settings

location = f"redis://127.0.0.1:{sys.argv[1]}"
settings.configure(
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"{location}/3"},
        "other": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"{location}/4", "KEY_PREFIX": "site"},
    },
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    USE_TZ=True,
)
django.setup()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.core.cache import caches  # noqa: E402


def common(cache) -> None:
    cache.clear()
    assert cache.get("nothing", "default") == "default"
    cache.set("dict", {"list": [1, 2.5, None], "text": "żółć"})
    assert cache.get("dict") == {"list": [1, 2.5, None], "text": "żółć"}
    assert cache.add("once", 1) and not cache.add("once", 2) and cache.get("once") == 1
    assert cache.incr("once", 5) == 6 and cache.decr("once") == 5
    try:
        cache.incr("nothing")
        raise AssertionError("incr of a missing key")
    except ValueError:
        pass
    assert not cache.set_many({f"many:{number}": number for number in range(1000)}, timeout=60)
    assert cache.get_many([f"many:{number}" for number in range(1001)]) == {f"many:{number}": number for number in range(1000)}
    cache.delete_many([f"many:{number}" for number in range(500)])
    assert not cache.has_key("many:499") and cache.has_key("many:500")
    cache.set("short", "value", timeout=1)
    assert cache.get("short") == "value"
    assert cache.touch("dict", 1) and not cache.touch("nothing", 1)
    time.sleep(1.2)
    assert cache.get("short") is None and cache.get("dict") is None
    cache.set("forever", 1, timeout=None)
    assert cache.get("forever") == 1 and cache.delete("forever") and not cache.delete("forever")
    assert cache.get_or_set("computed", lambda: 42, 30) == 42 and cache.get("computed") == 42
    cache.set("version", "old")
    cache.incr_version("version")
    assert cache.get("version") is None and cache.get("version", version=2) == "old"


common(caches["default"])
session = SessionStore()
session["user"] = 7
session.create()
assert SessionStore(session.session_key)["user"] == 7
session.flush()
assert not SessionStore().exists(session.session_key or "gone")

other = caches["other"]
# Its `incr` is Lua; everything else is not, and is run below.
if "eval" in other.client.get_client().command():
    common(other)
other.set("ttl", 1, timeout=100)
assert 0 < other.ttl("ttl") <= 100 and other.persist("ttl") and other.ttl("ttl") is None
assert other.expire("ttl", timeout=50) and 0 < other.pttl("ttl") <= 50_000
assert other.set("ttl", 2, nx=True) is False and other.get("ttl") == 1
other.set_many({f"scan:{number}": number for number in range(2000)})
assert len(set(other.iter_keys("scan:*"))) == 2000 and len(other.keys("scan:1*")) == 1111
assert other.delete_pattern("scan:*") == 2000 and other.get("ttl") == 1
print("Django: the core backend, sessions, django-redis")
