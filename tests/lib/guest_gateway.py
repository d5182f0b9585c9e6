"""A fortros-gateway that serves in a guest, beside that kernel's WireGuard.

    guest = Guest(programs=["wg", "ip", "nft", PROGRAM, CLIENT], files=files_of(site, settings=SETTINGS), ...)
    gateway = GuestGateway(guest)
    gateway.start()
    print(gateway.address())
"""

import re

HOME = "/etc/fortros"
SERVE_LIMIT_S = 180  # of one that waits for its registry on a busy machine
END_LIMIT_S = 30


def files_of(site, *, settings, home=HOME):
    """What a gateway needs in its folder, as a Guest takes its files."""
    files = {f"{home}/{file.name}": (file, 0o600) for file in site.home.iterdir() if file.is_file()}
    return files | {f"{home}/gateway.conf": settings}


def client_of(site, *, address="127.0.0.1", home=HOME):
    """The command of a gateway-client in a guest."""
    return f"gateway-client {address}:443 {home}/ca.pem {site.org.gateway_name}"


class GuestGateway:
    """`guest`: a Guest or SharedGuest. `command`: how it is started; `name`: of its log and its pid file."""

    def __init__(self, guest, *, command="fortros-gateway serve", name="gateway"):
        self._guest = guest
        self._command = command
        self._log = f"/run/{name}.log"
        self._pid = f"/run/{name}.pid"
        self.pid = f"$(cat {self._pid})"  # for a shell in the guest

    def start(self, limit_s=SERVE_LIMIT_S):
        self.spawn()
        return self.wait_until_it_serves(limit_s)

    def spawn(self):
        self._guest.run(f": >{self._log}; {self._command} >>{self._log} 2>&1 & echo $! >{self._pid}")

    def wait_until_it_serves(self, limit_s=SERVE_LIMIT_S):
        """Its log until then."""
        try:
            self._guest.wait_until(f"grep -q event=serving {self._log} || ! kill -0 {self.pid}", timeout_s=limit_s)
        except AssertionError:
            print(self.log())
            raise
        log = self.log()
        assert "event=serving" in log, log
        return log

    def end(self, signal="TERM"):
        self._guest.run(f"kill -{signal} {self.pid}")
        self._guest.wait_until(f"! kill -0 {self.pid} 2>/dev/null", timeout_s=END_LIMIT_S)

    def is_alive(self):
        return self._guest.run(f"kill -0 {self.pid}", check=False).status == 0

    def log(self):
        return self._guest.run(f"cat {self._log}").stdout

    def address(self):
        """Its overlay address, by its own words."""
        return re.search(r"event=serving .*overlay_address=(\S+)", self.log())[1]
