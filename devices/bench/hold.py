"""A device in the hands of one job: its lease, and the conditions set under it. Measures nothing."""

from __future__ import annotations

from collections.abc import Callable

from devices.bench.conditions import Conditions
from devices.bench.lease import EXPIRY_S, Lease
from devices.bench.retry import prompt, retry
from devices.bench.wanted import Wanted
from devices.errors import LeaseLost, TransientError
from devices.transport import Transport

#: how long a link that breaks meanwhile may take to come back; after that the device puts itself back
PUT_BACK_S = 4.0


class Hold:
    """Lease and conditions of one device, from `settle` to `let_go`."""

    def __init__(
        self,
        transport: Transport,
        work: str,
        address: str,
        tag: str,
        *,
        wanted: Wanted | None = None,
        wait_s: float = 0.0,
        expiry_s: float = EXPIRY_S,
        on_event: Callable[[str], None] | None = None,
    ) -> None:
        """Reaches nothing yet (see `Lease` and `Conditions`).

        Args:
            wait_s: how long to wait for another job that has the device.
        """
        self._lease = Lease(transport, work, address, tag, expiry_s=expiry_s, on_event=on_event)
        self._conditions = Conditions(transport, work, address, wanted)
        self._address = address
        self._wait_s = wait_s
        self._on_event = on_event or (lambda _: None)
        self._has_lease = self._is_set = False
        self.notes: tuple[str, ...] = ()

    def settle(self) -> None:
        """See that the lease is held and the conditions are set. May be made again after any error.

        Raises:
            DeviceBusy: another job has the device.
            LeaseLost: this job lost the device, and another one has it meanwhile.
            TransientError: the link broke.
            DeviceTrouble: the device keeps no lease or takes no files.
        """
        if not self._has_lease:
            self._lease.acquire(self._wait_s)
            self._has_lease = True
        else:
            self._keep_lease()
        if not self._is_set:
            with prompt(self._address):
                self.notes = self._conditions.apply()
            self._is_set = True

    def verify(self) -> int:
        """The lease's number; what was measured under it counts (see `Lease.verify`)."""
        return self._lease.verify()

    def probe(self) -> None:
        """See that the device answers and is still this job's (see `Lease.beat`)."""
        self._lease.beat()

    def let_go(self) -> None:
        """Put the conditions back and give the device free. May be called twice.

        Raises:
            DeviceTrouble: the device did not hear of it; a guard there does it within a minute.
        """
        if not self._has_lease:
            return
        self._has_lease = self._is_set = False
        try:
            retry(self._put_back, PUT_BACK_S, self._tell)
        finally:
            self._lease.release()  # the device itself puts back what is left, before it is free

    def _tell(self, error: TransientError, _: float) -> None:
        self._on_event(f"{self._address}: {error}; putting it back once more")

    def _put_back(self) -> None:
        self._lease.verify()
        for left in self._conditions.restore():  # also what setting them began and a break cut off
            self._on_event(f"{self._address}: {left}")

    def _keep_lease(self) -> None:
        try:
            self._lease.beat()
        except LeaseLost as error:
            self._is_set = False
            self._on_event(f"{error}; asking for the device again")
            self._lease.reacquire()
