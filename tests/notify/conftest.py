"""The same servers and installations as for alerts."""

from tests.alerts.conftest import catalog_url, clock, inst, mail, web

__all__ = ["catalog_url", "clock", "inst", "mail", "web"]
