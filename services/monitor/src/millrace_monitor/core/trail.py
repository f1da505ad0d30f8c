"""Where the log stood when event time stood somewhere: a change point in time becomes one in offsets."""

import msgspec

from millrace_common.messages import Offsets
from millrace_common.messages.alert import ChangePoint
from millrace_monitor.core.cut import Cut

STEPS_MAX = 500
LABELS_APART = 25


class Trail(msgspec.Struct):
    """The newest cuts: the watermark and the end offsets of each."""

    steps: list[tuple[int, Offsets]] = []
    labelled: int = 0

    def add(self, cut: Cut) -> None:
        """Take the next cut, unless hardly anything was labelled since the last."""
        if self.steps and not cut.windows and cut.labelled - self.labelled < LABELS_APART:
            return
        self.labelled = cut.labelled
        self.steps.append((cut.watermark_us, cut.offsets))
        del self.steps[:-STEPS_MAX]

    def change_point(self, time_us: int | None) -> ChangePoint | None:
        """Return the last place that was read before a time; None where it is not known any more."""
        if time_us is None:
            return None
        before = [offsets for watermark_us, offsets in self.steps if watermark_us <= time_us]
        if not before:
            return None
        ends = {
            topic: {partition: (end, end) for partition, (_, end) in partitions.items()}
            for topic, partitions in before[-1].items()
        }
        return ChangePoint(time_us=time_us, offsets=ends)

    def features_from(self, time_us: int | None) -> Offsets | None:
        """Return where in the features topic the rows after a change begin; the end is left open: what is there now."""
        point, newest = self.change_point(time_us), self.steps[-1][1] if self.steps else {}
        if point is None or "features" not in point.offsets:
            return None
        starts = point.offsets["features"]
        return {
            "features": {
                partition: (starts[partition][0] if partition in starts else 0, end)
                for partition, (_, end) in newest.get("features", {}).items()
            }
        }
