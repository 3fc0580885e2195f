"""The tables of a page, as people read them: words from the left, numbers from the right, no numbers of rows."""

from .words import NUMBER

LONG = 40  # characters of a cell that is read from the left whatever else stands in its column


def readable(table: str) -> str:
    """An HTML table with the class "words" on the cells of its columns of words, heads and index columns among them.

    pandas' numbers of rows, a first column without a name that counts from 0, are taken out: they say nothing.
    """
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(table, "html.parser")
    rows, heads = (_placed(soup.select(f"{part} > tr")) for part in ("tbody", "thead"))
    if not rows or len({len(row) for row in rows}) != 1:
        return table
    heads = [head for head in heads if len(head) == len(rows[0])]
    firsts = [row[0].get_text().strip() for row in rows]
    unnamed = heads and not any(head[0].get_text().strip() for head in heads)
    if unnamed and all(row[0].name == "th" for row in rows) and firsts == [str(k) for k in range(len(rows))]:
        for row in (*heads, *rows):
            row.pop(0).decompose()
    for place, column in enumerate(zip(*rows, strict=True)):
        said = [text for cell in column if (text := cell.get_text().strip())]
        words = sum(not NUMBER.match(text) for text in said) > len(said) / 2
        if words or column[0].name == "th" or any(len(text) > LONG and not text[-1].isdigit() for text in said):
            for cell in (*column, *(head[place] for head in heads)):
                cell["class"] = sorted({*cell.get("class", []), "words"})
    return str(soup)


def _placed(rows: list) -> list[list]:
    """The cells of each row, one a column; a cell that spans rows stands in each. Nothing where one spans columns."""
    placed, held = [], {}  # held: column -> (cell, rows that it still spans)
    for row in rows:
        line = {place: cell for place, (cell, _) in held.items()}
        held = {place: (cell, left - 1) for place, (cell, left) in held.items() if left > 1}
        place = 0
        for cell in row.find_all(["td", "th"], recursive=False):
            if cell.get("colspan", "1") != "1":
                return []
            while place in line:
                place += 1
            line[place] = cell
            span = cell.get("rowspan", "1")
            if span.isdecimal() and int(span[:6]) > 1:
                held[place] = (cell, int(span[:6]) - 1)
        placed.append([line[place] for place in sorted(line)])
    return placed
