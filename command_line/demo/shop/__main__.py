"""`python -m command_line.demo.shop`: the shop as the demo runs it, in a process of its own."""

from funnelhouse.serving import run_server
from funnelhouse.settings import Settings

settings = Settings()
run_server("command_line.demo.shop.app:create_app", settings, settings.demo_shop_port)
