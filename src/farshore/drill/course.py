"""The course of a drill: what a scenario's story is told in.

From `lose` on in the order of a story. A step that fails ends the story, and the verdict is then unknown.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from farshore.drill import asking
from farshore.drill.events import Kind
from farshore.drill.faults import Deed, harm, ordered, region_loss
from farshore.drill.findings import Verdict
from farshore.drill.ground import Ground
from farshore.drill.lag import LagSampler
from farshore.drill.ledger import OrphanListError
from farshore.drill.product import CommandError, Follower
from farshore.drill.scenario import KINDS, Crew, crews_in
from farshore.drill.terms import Effect, Fault, Further, OutageClass

_NEWCOMERS = 3  # the clients that a region begins with are numbered below
_FRESH_S = 1.0  # much less than a client holds one for, so that it is still open when the fault is done


class Course(Ground):
    """One drill."""

    def run(self) -> Verdict:
        """The whole drill; its verdict."""
        self._boot()
        self._set_up()
        self._writer = self.lab.home_region
        self._follower = self._closed_at_the_end(Follower(self.lab, self._hear))
        self._lag = self._closed_at_the_end(LagSampler(self.lab))
        self._put_to_work(self._scenario.crews(self.lab))
        try:
            self._scenario.story(self)
            self._mend_what_is_left()
        except (CommandError, OrphanListError) as error:
            self._say_wrong(str(error))
        self.stop()
        self._lag.close()
        self._follower.close()
        return self._report(self._judge(self._scenario.terms.orphans_due))

    # --- the story's steps --------------------------------------------------------------------------------------

    def lose(self, region: str, *, outage: OutageClass = "move") -> None:
        """The region goes dark, with its clients."""
        fault = self._do(region_loss(region, writer=self._writer, outage=outage))
        self._monitor.bury(region)
        hit = ", ".join(f"{count} {what}" for what, count in (fault.bit or {}).items())
        self._progress.say(f"{region} is gone: {hit}", style="bold red", at=fault.at / 1e9)

    def harm(
        self,
        kinds: str,
        region: str,
        *,
        effect: Effect = "stays",
        outage: OutageClass = "none",
        called: str | None = None,
        cut_off: tuple[str, ...] = (),
        felt_in: tuple[str, ...] = (),
        silent: bool = False,
        mends: bool = True,
    ) -> None:
        """One of the lab's harms, or several at one instant, and what must come of it (see Fault)."""
        deed = harm(
            kinds, region, writer=self._writer, effect=effect, outage=outage, called=called, cut_off=cut_off,
            felt_in=felt_in, silent=silent, mends=mends,
        )  # fmt: skip
        fault = self._do(deed)
        hit = ", ".join(f"{count} {what}" for what, count in (fault.bit or {}).items())
        self._progress.say(f"{deed.words}: {hit or 'done'}", style="bold red", at=fault.at / 1e9)

    def nothing(self) -> None:
        """From here on nothing is done, and nothing may happen."""
        fault = Fault("quiet time", self._writer, at=time.monotonic_ns(), effect="stays", outage="none")
        self._faults.append(fault)
        self._deeds.append(None)

    def work(self, seconds: float | None = None) -> None:
        """The clients work for a while: by default for as long as the scenario was asked to last."""
        lasts = seconds if seconds is not None else self._options.seconds or self._scenario.seconds or 0.0
        self._progress.until(lambda: False, lasts, self._load)

    def until_served(self, *kinds: Kind) -> None:
        """Until every client that can be is served again, by the other region if the last fault moves the writer."""
        fault = self._faults[-1]
        healed = fault.healed_at if fault.effect == "stays" else None
        since, left = healed or fault.at, fault.region if fault.effect == "moves" else None
        away = fault.away if fault.healed_at is None else frozenset()
        if fault.dead_region:
            away = frozenset({fault.dead_region})

        def unserved() -> list[str]:
            return self._monitor.unserved_since(since, left, away, kinds or KINDS)

        if not self._progress.until(lambda: not unserved(), self._pace.recover_s, self._load):
            self._say_wrong(f"not served again: {', '.join(unserved())}")
            return
        outside = f" outside {', '.join(sorted(away))}" if away else f" by {self._writer}"
        self._progress.say(f"every client{outside} is served again", style="green")
        self._progress.until(lambda: False, self._pace.after_s, self._load)

    def stop(self) -> None:
        """The clients end, and the writer's database is read."""
        if self._ended_at is not None:
            return
        self._ended_at = time.monotonic_ns()
        self._crews.stop()
        region = self._final_writer()
        self._progress.say(f"the clients have stopped; reading the database of {region}")
        self._survivor = self._read(region)
        judged = self._judge(orphans_due=False)
        lost = len(judged.losses.lost) + len(judged.losses.late_bare_lost)
        self._progress.say(
            f"so far: {judged.verdict}, {judged.acked} acknowledged, {lost} of them lost", style="bold"
        )

    def heal(self, back: int = 1) -> None:
        """Undo the fault done last, or the one `back` before the end."""
        place = len(self._faults) - back
        deed, fault = self._deeds[place], self._faults[place]
        if deed is None:
            return
        where = fault.hit or fault.region
        healed = self._progress.during(
            lambda: deed.heal(self.lab, fault), lambda: f"{self._load()}; mending {where}"
        )
        self._faults[place], self._deeds[place] = healed, None
        counted = ", ".join(f"{count} {what}" for what, count in (healed.bit or {}).items())
        words = f"{where} returns" if healed.dead_region else f"{fault.kind} is over: {counted or 'mended'}"
        self._progress.say(words, at=(healed.healed_at or time.monotonic_ns()) / 1e9)

    def heal_part(self, kinds: str) -> None:
        """Undo some of the harms done last; the fault is over when the others are undone."""
        deed, fault = self._deeds[-1], self._faults[-1]
        if deed is None:
            return
        self.heal_also(kinds, fault.hit or fault.region)
        left = [kind for kind in deed.order[1].split(",") if kind not in kinds.split(",")]
        self._deeds[-1] = replace(deed, mending=("mend", ",".join(left), deed.region))

    def also(self, kinds: str, region: str) -> None:
        """Harms within the failover that the fault done last began."""
        done = self._while_watching(lambda: ordered(self.lab, ("harm", kinds, region)))
        fault, bit = self._faults[-1], done.get("bit") or {}
        harm = Further(kinds.replace("-", " "), region, at=done["ended_monotonic_ns"], bit=bit)
        self._faults[-1] = replace(fault, further=(*fault.further, harm))
        hit = ", ".join(f"{count} {what}" for what, count in bit.items())
        self._progress.say(f"{kinds} in {region} as well: {hit}", style="bold red", at=harm.at / 1e9)

    def heal_also(self, kinds: str, region: str) -> None:
        self._while_watching(lambda: ordered(self.lab, ("mend", kinds, region)))
        self._progress.say(f"{kinds} in {region}: over")

    def until_open(self, seconds: float) -> None:
        """Until a client that holds its transactions open has held one for so long; not one that is about to end."""
        if not self._progress.until(
            lambda: self._monitor.is_open("long", seconds, seconds + _FRESH_S),
            self._pace.warm_up_s,
            self._load,
        ):
            self._say_wrong("no long transaction was open")

    def until_proposed(self) -> None:
        """Until the product proposes a failover; and a little longer, in which it must not begin."""
        self._faults[-1] = replace(self._faults[-1], needs_approval=True)
        self._until_journal(lambda event: str(event["action"]).startswith("propose"), "a proposal")
        self.work(2.0)

    def approve(self) -> None:
        """A person says yes; CommandError when the product does not take it."""
        self._faults[-1] = replace(self._faults[-1], approved_at=time.monotonic_ns())
        said = ("approve", "--reason", "the drill accepts the loss", "--json")
        answer = self._while_watching(lambda: self.lab.ask(*said, timeout_s=self._pace.move_s))
        if answer.exit_code != 0:
            raise answer.error()
        self._progress.say("farshore approve: done")

    def put_to_work(self, crew: Crew) -> None:
        """One more crew, from now on."""
        self._monitor.follow((crew,))
        self._crews.add((crew,))
        self._progress.say(f"more clients begin: {', '.join(crew.names)}")

    def bring_clients_back(self, region: str) -> None:
        """New clients in a region that has returned."""
        crews = crews_in(region, first=_NEWCOMERS)
        self._monitor.follow(crews)
        self._crews.add(crews)
        self._progress.say(f"clients begin again in {region}")
        self._until_all_have_acks()

    def name_orphans(self) -> None:
        """Ask the product what was lost, and read the old volume; OrphanListError or CommandError without an answer."""
        self._orphans = self._progress.during(self._list_orphans, lambda: "the product reads the old volume")
        named = len(self._orphans.orphans)
        self._progress.say(f"the product names {named} orphans, from {self._orphans.source}")
        self._old_volume = self._progress.during(self._read_old_volume, lambda: "the drill reads it too")
        if self._old_volume is not None:
            self._progress.say(
                f"the drill finds {len(self._old_volume.keys)} writes on a copy of that volume"
            )

    def unresolved_orphans(self) -> int:
        """How many of the named transactions the survivor still lacks, or has otherwise."""
        return self._orphans.unresolved if self._orphans else 0

    def must_refuse(self, verb: str, *, naming: str) -> None:
        """Ask for a move that the product has to refuse; CommandError when it does not."""
        request = self._while_watching(
            lambda: asking.refused(
                self.lab, verb, naming=naming, within_s=self._pace.accept_s, end_s=self._pace.move_s,
                say=self._progress.say,
            )
        )  # fmt: skip
        self._requests.append(request)
        if request.exit_code == 0:
            raise CommandError((verb,), 0, "it was carried out and should have been refused")
        self._progress.say(f"{verb} is refused, exit code {request.exit_code}: {request.reason}")

    def tell(self, *command: str) -> None:
        """An operator's command that changes something; CommandError when it fails."""
        self._while_watching(lambda: self.lab.run(*command, "--json"))
        self._progress.say(f"farshore {' '.join(command)}: done")

    def move(self, verb: asking.Verb, target: str) -> None:
        """A planned move by an operator's command, with the clients at work; CommandError when it fails."""
        source = self._writer
        self._progress.say(f"farshore {verb}: the writer moves from {source} to {target}", style="bold")
        fault = self._while_watching(
            lambda: asking.move(
                self.lab, verb, source, target, accept_s=self._pace.accept_s, end_s=self._pace.move_s,
                say=self._progress.say,
            )
        )  # fmt: skip
        self._faults.append(replace(fault, outage="move"))
        self._deeds.append(None)
        self._writer = target

    # --- what they share ----------------------------------------------------------------------------------------

    def _do(self, deed: Deed) -> Fault:
        self._say_wrong(deed.words)
        fault = self._while_watching(lambda: deed.do(self.lab))
        self._faults.append(fault)
        self._deeds.append(deed)
        if fault.effect == "moves":
            self._writer = self._other(fault.region)
        return fault

    def _until_journal(self, wanted: Callable[[Mapping[str, Any]], bool], what: str) -> None:
        """CommandError when the product's journal has no such event after the last fault."""
        since_unix_s = time.time() - time.monotonic() + self._faults[-1].at / 1e9

        def said() -> bool:
            late = (e for e in self._follower.events if e["at_unix_ms"] / 1000 >= since_unix_s)
            return any(wanted(event) for event in late)

        if not self._progress.until(said, self._pace.recover_s, self._load):
            raise CommandError(("history",), 0, f"it never told of {what}")

    def _mend_what_is_left(self) -> None:
        """A story that ended early leaves the lab to be judged as it must end: whole, but for a lost region."""
        for back, deed in enumerate(reversed(self._deeds), start=1):
            if deed is not None and deed.mending is not None and deed.kind != "region-loss":
                self.heal(back)
