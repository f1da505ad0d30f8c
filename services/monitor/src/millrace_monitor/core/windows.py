"""Tumbling windows of event time over one version's predictions: closed by the watermark, merged while small."""

import msgspec

from millrace_monitor.core.histograms import Layout, bytes_of, counts_of

ROWS_HELD_MAX = 512
_NEVER = 1 << 62

Row = tuple[float | None, ...]


class Window(msgspec.Struct):
    """What one window has counted: `counts` are int64 little-endian; `rows` are not counted yet."""

    start_us: int
    end_us: int
    n: int = 0
    late: int = 0
    counts: bytes = b""
    rows: list[Row] = []

    def fold(self, layout: Layout) -> None:
        """Count the rows held."""
        if self.rows or not self.counts:
            counts = layout.tally(self.rows)
            if self.counts:
                counts += counts_of(self.counts)
            self.counts = bytes_of(counts)
            self.rows = []

    def absorb(self, earlier: "Window") -> None:
        """Take over the rows of an earlier window that was too small to be judged; both are folded."""
        self.start_us = min(self.start_us, earlier.start_us)
        self.n += earlier.n
        self.late += earlier.late
        self.counts = bytes_of(counts_of(self.counts) + counts_of(earlier.counts))


class Windows(msgspec.Struct):
    """The open windows. A row behind the last closed window counts in the next open one, as late."""

    width_us: int
    rows_min: int
    open: dict[int, Window] = {}
    carried: Window | None = None
    closed_until_us: int = 0
    due_us: int = _NEVER
    """End of the oldest open window."""

    def add(self, at_us: int, row: Row, layout: Layout) -> None:
        """Count one row."""
        start = at_us - at_us % self.width_us
        late = start < self.closed_until_us
        start = max(start, self.closed_until_us)
        window = self.open.get(start)
        if window is None:
            window = self.open[start] = Window(start, start + self.width_us)
            self.due_us = min(self.due_us, window.end_us)
        window.n += 1
        window.late += late
        window.rows.append(row)
        if len(window.rows) >= ROWS_HELD_MAX:
            window.fold(layout)

    def close(self, watermark_us: int, layout: Layout) -> list[Window]:
        """Return the windows that ended at or before the watermark and hold enough rows, oldest first."""
        closed: list[Window] = []
        for start in sorted(start for start, window in self.open.items() if window.end_us <= watermark_us):
            window = self.open.pop(start)
            window.fold(layout)
            self.closed_until_us = max(self.closed_until_us, window.end_us)
            if self.carried is not None:
                window.absorb(self.carried)
                self.carried = None
            if window.n < self.rows_min:
                self.carried = window
            else:
                closed.append(window)
        self.due_us = min((window.end_us for window in self.open.values()), default=_NEVER)
        return closed

    def fold(self, layout: Layout) -> None:
        """Count every row held, so that only counts are stored."""
        for window in self.open.values():
            window.fold(layout)
