"""One process and one origin: the built site at `/`, this reader's kernels below `/_live/`.

Only what a page needs of Jupyter is there: kernels and sessions. No files, terminals, extensions or
settings of the reader's own Jupyter. Whoever may run cells holds a cookie that no script can read
and no other site can send, got in exchange for the token in the printed address.

Source: Jupyter Server, Security in the Jupyter Server; RFC 6265bis, section 5.2 (SameSite).
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_server.auth.identity import IdentityProvider
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from handbook.live import handlers, pages
from handbook.live.site import ClientHandler, Place, SiteHandler, VendorHandler
from handbook.notebooks import kernels
from handbook.site.server import ADDRESS

BASE = "/_live/"
IDLE_LIMIT = 3600
"""Seconds after which a kernel that nobody uses is ended."""
MESSAGE_LIMIT = 1024 * 1024
"""Bytes of one message from a page: a cell's code, and far more than one."""
BODY_LIMIT = 64 * 1024
# A cell that prints without end must fill neither this process nor the page: the rest is dropped.
OUTPUT_LIMITS = {
    "limit_rate": True,
    "iopub_data_rate_limit": 1_000_000,
    "iopub_msg_rate_limit": 3_000,
    "rate_limit_window": 1,
}


class LabPython(kernels.ThisPython):
    """This interpreter, in the surroundings of a lab: what it records stays out of docs/."""

    folder: Path

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:  # noqa: ARG002
        """The one kernel."""
        surroundings = {
            "IPYTHONDIR": str(self.folder / "ipython"),
            "HANDBOOK_DATA_HOME": str(self.folder / "data"),
        }
        return KernelSpec(resource_dir=RESOURCES, **{**get_kernel_dict(), "env": surroundings})


class Live(ServerApp):
    """Jupyter's server with our routes, and none of its own but kernels and sessions."""

    name = "handbook-live"
    default_services = ("kernels", "sessions")  # type: ignore[assignment]
    place: Place
    listening: socket.socket
    news: handlers.News

    def load_config_file(self, *_: object, **__: object) -> None:
        """Nobody's settings: a reader's own may open ports, ask for no token, load extensions."""

    def migrate_config(self) -> None:
        """Nothing of an older Jupyter either."""

    def init_signal(self) -> None:
        """Signals are for `handbook serve`; Jupyter would ask whether they are meant."""

    def _find_http_port(self) -> None:
        """It was found before anything was built."""

    def _bind_http_server(self) -> None:
        self.http_server.add_socket(self.listening)

    async def end(self) -> None:
        """End the kernels, then stop to answer."""
        await self._cleanup()
        # Here, where its sockets live: collected in another thread it would complain.
        self.kernel_manager.context.destroy(linger=0)

    def init_webapp(self) -> None:
        """Replace the catch-all by the site."""
        super().init_webapp()
        self.web_app.settings.update(live_place=self.place, live_news=self.news)
        self.web_app.wildcard_router.rules.pop()  # Jupyter's own 404
        self.web_app.add_handlers(  # type: ignore[no-untyped-call]
            ".*$",
            [
                (f"{BASE}open", handlers.OpenHandler),
                (f"{BASE}hello", handlers.HelloHandler),
                (f"{BASE}changes", handlers.ChangesHandler),
                (f"{BASE}stack", handlers.StackHandler),
                (rf"{BASE}lab/([0-9]{{2}}-[a-z0-9-]+)", handlers.LabHandler),
                (rf"{BASE}client/vendor/(.+)\.js", VendorHandler),
                (rf"{BASE}client/(.*)", ClientHandler),
                (r"/(?!_live/)(.*)", SiteHandler),
            ],
        )


def settings(place: Place, token: str) -> Config:
    """Jupyter's settings of one server; nobody else's are read.

    Args:
        place: the site and the address at which it is served.
        token: what the printed address holds.
    """
    cookies = {"samesite": "Strict", "path": BASE}
    config = Config()
    config.ServerApp.update(
        ip=ADDRESS,
        port=place.port,
        port_retries=0,
        base_url=BASE,
        open_browser=False,
        root_dir=str(place.notebooks),
        allow_root=True,
        jpserver_extensions={},
        terminals_enabled=False,
        allow_remote_access=False,
        local_hostnames=[ADDRESS],
        allow_unauthenticated_access=False,
        quit_button=False,
        cookie_secret=secrets.token_bytes(32),  # a cookie of an earlier start is worth nothing
        log_level="CRITICAL",
        max_body_size=BODY_LIMIT,
        max_buffer_size=2 * MESSAGE_LIMIT,
        identity_provider_class=IdentityProvider,  # no password, so no log-in form
        kernel_spec_manager_class=LabPython,
        tornado_settings={
            "xsrf_cookie_kwargs": {**cookies, "httponly": True},
            "websocket_max_message_size": MESSAGE_LIMIT,
            "headers": {**pages.HEADERS, "Content-Security-Policy": pages.API_POLICY},
        },
    )
    config.IdentityProvider.update(token=token, cookie_options=cookies)
    config.MappingKernelManager.update(
        cull_idle_timeout=IDLE_LIMIT,
        cull_interval=60,
        cull_connected=False,
    )
    config.KernelManager.update(transport="ipc", shutdown_wait_time=3.0)
    config.ZMQChannelsWebsocketConnection.update(OUTPUT_LIMITS)
    return config
