"""`landscope model`: draws from the random model beside the theory."""

from pathlib import Path
from typing import Annotated, Any

import typer

from landscope.cli.options import Out, Seed
from landscope.cli.progress import progress_bar
from landscope.cli.ranges import numbers
from landscope.cli.results import print_model, write_report_of
from landscope.experiments import sample_model

_WHOLE = ("num_classes", "num_examples", "num_params")


def _parameter(description: str) -> Any:
    return typer.Option(help=description, metavar="VALUES", rich_help_panel="Random model")


def model(
    out: Out = Path("runs/model"),
    seed: Seed = 0,
    num_draws: Annotated[
        int, typer.Option("--num-draws", help="Draws for means and errors of the scalars.")
    ] = 1,
    num_classes: Annotated[str, _parameter("Classes C.")] = "10",
    num_examples: Annotated[str, _parameter("Examples N.")] = "300",
    num_params: Annotated[str, _parameter("Parameters D, of any size, such as 1e12.")] = "1000",
    sigma_c: Annotated[str, _parameter("Length σ_c of the centroids.")] = "1.0",
    sigma_e: Annotated[str, _parameter("Length σ_E of the residuals.")] = "0.7",
    sigma_z: Annotated[str, _parameter("Spread σ_z of the logits.")] = "1.0",
    sigma_class: Annotated[str, _parameter("Length of the class-conditional parts.")] = "0",
    class_centroids: Annotated[
        str, typer.Option(help="Which class-conditional parts: full, own or shared.")
    ] = "full",
    labels: Annotated[str, typer.Option(help="Labels: uniform, or sampled from p.")] = "uniform",
    lengths: Annotated[
        str | None,
        typer.Option(help="Length of each centroid instead of σ_c.", metavar="0.3,1,…"),
    ] = None,
) -> None:
    """Draw from the random model, exactly at any size, and set the theory beside it.

    VALUES are a number, or for one parameter a sweep: a list 1,2,5 or a range START:STOP:COUNT,
    with :log for even ratios.

    Example:  [bold]landscope model --sigma-z 0.1:25:20:log --num-draws 3[/bold]
    """
    given = {
        "num_classes": num_classes,
        "num_examples": num_examples,
        "num_params": num_params,
        "sigma_c": sigma_c,
        "sigma_e": sigma_e,
        "sigma_z": sigma_z,
        "sigma_class": sigma_class,
    }
    values = {name: numbers(name, text, whole=name in _WHOLE) for name, text in given.items()}
    swept = [name for name, several in values.items() if len(several) > 1]
    if len(swept) > 1:
        raise ValueError(f"{' and '.join(swept)} have several values each; one may be swept")
    parameters: dict[str, Any] = {
        name: several[0] for name, several in values.items() if name not in swept
    }
    parameters |= {"class_centroids": class_centroids, "labels": labels}
    if lengths is not None:
        parameters["lengths"] = tuple(numbers("lengths", lengths))
    with progress_bar("draws") as progress:
        run = sample_model(
            parameters,
            out,
            swept=swept[0] if swept else None,
            values=values[swept[0]] if swept else (),
            seed=seed,
            num_draws=num_draws,
            progress=progress,
        )
    print_model(run)
    write_report_of(run)
