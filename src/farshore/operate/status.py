"""What an operator sees at one look, for people and for programs."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from farshore.core.scene import Scene
from farshore.core.story import Story, judge
from farshore.operate.look import Looker
from farshore.workshop import Workshop


@dataclass(frozen=True, slots=True)
class Status:
    scene: Scene
    story: Story

    def as_dict(self) -> dict[str, Any]:
        """Everything; times in Unix milliseconds, ages and durations in milliseconds."""
        scene, story = self.scene, self.story
        record = scene.record
        return {
            "exit_code": story.exit_code,
            "writer": story.writer,
            "known": story.known,
            "lease": story.lease,
            "waiting_for": story.waiting,
            "next_step": story.next_step,
            "command": story.command,
            "findings": [dataclasses.asdict(finding) for finding in story.findings],
            "record": None if record is None else dataclasses.asdict(record),
            "renewed_ms_ago": scene.lease_age_ms,
            "monitors": {region: dataclasses.asdict(seen) for region, seen in scene.monitors.items()},
            "global_cluster": None if scene.cluster is None else dataclasses.asdict(scene.cluster),
            "unread": list(scene.unread),
            "clock_off_ms": scene.clock_off_ms,
            "read_at_ms": scene.now_ms,
        }


def status(workshop: Workshop) -> Status:
    """Never longer than a few seconds: what does not answer by then is said to be unread."""
    scene = Looker(workshop).look()
    return Status(scene, judge(scene))
