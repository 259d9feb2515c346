"""farshore cost: what a deployment costs in a month, with the page behind every rate."""

from typing import Annotated, Any

import typer
from rich.table import Table

from farshore.cli.output import Json, Profile, out, reported, show
from farshore.operate import cost as operate


def cost(
    *,
    profile: Profile = "aws",
    storage_gb: Annotated[float, typer.Option("--storage-gb", help="Size of the database.")] = 100.0,
    write_iops: Annotated[float, typer.Option("--write-iops", help="Storage writes a second.")] = 100.0,
    read_iops: Annotated[float, typer.Option("--read-iops", help="Uncached reads a second.")] = 50.0,
    transfer_gb: Annotated[
        float | None,
        typer.Option("--transfer-gb", help="GB a month between the regions; else from the writes."),
    ] = None,
    retention_days: Annotated[int, typer.Option("--retention-days", help="How long backups are kept.")] = 7,
    log_gb: Annotated[float, typer.Option("--log-gb", help="GB of logs a month.")] = 5.0,
    as_json: Json = False,
) -> None:
    """List what a deployment costs in a month: rate, quantity, source and date of each line, and other choices."""
    with reported():
        found = operate.estimate(
            operate.Assumptions(
                profile=profile,
                storage_gb=storage_gb,
                write_iops=write_iops,
                read_iops=read_iops,
                transfer_gb=transfer_gb,
                retention_days=retention_days,
                log_gb=log_gb,
            )
        )
        if as_json:
            show(_document(found), as_json=True, words=str)
        else:
            _print(found)


def _document(found: operate.Estimate) -> dict[str, Any]:
    return {
        "total_usd": round(found.total_usd, 2),
        "seed_total": operate.SEED_TOTAL,
        "lines": [
            {
                "what": line.what,
                "usd": round(line.usd, 2),
                "quantity": line.quantity,
                "unit": line.rate.unit,
                "rate_usd": line.rate.usd,
                "source": line.rate.source,
                "read_on": line.rate.read_on,
                "note": line.note,
                "seed": line.seed,
            }
            for line in found.lines
        ],
        "what_ifs": [
            {"what": one.what, "change_usd": round(one.change_usd, 2), "price": one.price}
            for one in found.what_ifs
        ],
    }


def _print(found: operate.Estimate) -> None:
    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column("a month", footer="total")
    table.add_column("USD", f"{found.total_usd:,.2f}", justify="right")
    table.add_column("at which rate, for what", f"the seed: {operate.SEED_TOTAL}")
    for line in found.lines:
        quantity = f"{line.quantity:,.4f}".rstrip("0").rstrip(".")
        seed = f"the seed: {line.seed}" if line.seed else ""
        words = f"{quantity} at ${line.rate.usd:.6g} per {line.rate.unit}", line.note, seed
        table.add_row(line.what, f"{line.usd:,.2f}", "; ".join(word for word in words if word))
    out.print(table)
    out.print("\nother choices", markup=False)
    for one in found.what_ifs:
        out.print(f"  {one.change_usd:+10,.2f}  {one.what}: {one.price}", markup=False)
    out.print("\nlist prices, no free tier; sources", markup=False)
    for source, read_on in sorted({(line.rate.source, line.rate.read_on) for line in found.lines}):
        out.print(f"  {read_on}  {source}", markup=False)
