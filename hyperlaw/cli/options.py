"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from storage.location import DATABASE_VARIABLE, DEFAULT_DATABASE

DATABASE = DEFAULT_DATABASE

Database = Annotated[
    str,
    typer.Option(
        "--db",
        envvar=DATABASE_VARIABLE,
        metavar="URL",
        help="The database: a file, or a URL such as postgresql://user@host/name.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")]
RunsFile = Annotated[
    Path | None,
    typer.Option("--runs", metavar="FILE", help="A file of runs: .csv, .tsv or .parquet."),
]
Mapping = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="OURS=THEIRS", help="What the file calls one of our columns. Repeatable."
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="COLUMN=VALUE",
        help="Take only the rows with this value, such as dataset=c4. Repeatable.",
    ),
]
Sweeps = Annotated[
    list[str] | None,
    typer.Option("--sweep", metavar="NAME", help="A sweep of the database. Repeatable."),
]
LawName = Annotated[
    str | None, typer.Option("--law", metavar="NAME", help="A law of the database.")
]
TargetParams = Annotated[
    float,
    typer.Option(
        "--params", metavar="N", help="Size of the model: non-embedding parameters, such as 7e9."
    ),
]
TargetTokens = Annotated[
    float,
    typer.Option(
        "--tokens", metavar="D", help="Tokens that it will be trained on, such as 1.4e11."
    ),
]
TargetWidth = Annotated[
    int | None,
    typer.Option(
        "--width",
        metavar="W",
        help="Its width, for a law on width and tokens, kept or fitted here.",
    ),
]
TargetDepth = Annotated[
    int | None,
    typer.Option(
        "--depth", metavar="L", help="Its number of blocks, for a law on depth, as --width."
    ),
]
FixedBatch = Annotated[
    float | None,
    typer.Option(
        "--batch-tokens",
        metavar="B",
        help="Tokens a step, where the batch cannot be chosen; such as 2097152.",
    ),
]
RunsDecay = Annotated[
    float | None,
    typer.Option(
        "--decay",
        metavar="LAMBDA",
        help="Weight decay of the runs; that of their column weight_decay if not given.",
    ),
]
Level = Annotated[float, typer.Option(help="Coverage of the intervals.")]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="A Ray cluster to join, such as auto or HOST:6379; else Ray is started here.",
    ),
]
