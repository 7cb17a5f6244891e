"""The lines that a fit prints when `verbose` asks for them."""

__all__ = ["printed"]

from collections.abc import Iterable, Iterator

from core.fit import Info


def printed(infos: Iterable[Info], verbose: int, interval: int) -> Iterator[Info]:
    """The infos as they come, with a line as each run begins, one every `interval` iterations, one at its end.

    With `verbose` = 1 the lines tell where the fit is; from 2 on also the objective and its change. 0 prints nothing.
    A run that fails has no last line.
    """
    begun = 0
    for info in infos:
        if verbose:
            if info.init != begun:
                print(f"Initialization {info.init} of {info.n_init}")
                begun = info.init
            detail = f": objective {info.objective:.8g}, change {info.change:.3g}" if verbose > 1 else ""
            if info.iteration % interval == 0:
                print(f"  Iteration {info.iteration}{detail}")
            if info.converged or info.iteration == info.max_iter:
                print(f"Initialization {info.init} {'converged' if info.converged else 'did not converge'}{detail}.")
        yield info
