"""The prices of the editor without a browser: what a page would post."""


def posted(form):
    """What a browser would send back of the prices as they were drawn."""
    typed = {"add/kind": form.adding_kind, "add/id": ""}
    for card in form.cards:
        if card.is_removed:
            typed[card.gone_name] = "1"
        if card.from_plan:
            typed[f"plan/{card.key}"] = "1"
        if card.is_open:
            typed |= _open(card)
    assert set(typed) <= form.names()
    return typed


def _open(card):
    page = card.page
    typed = {f"open/{card.key}": "1"} | {cell.name: cell.text for cell in card.cells}
    if page.limits_matter:
        typed[f"limits/{card.key}"] = "1"
    else:
        for limit in page.limits:
            del typed[limit.least.name], typed[limit.most.name]
    windows = [page.windows] if page.windows else []
    typed |= {grid.name: str(len(grid.rows)) for grid in [*page.grids, *windows]}
    return typed | {grid.paste_name: grid.paste for grid in page.grids}
