//! Tables without borders: two blanks between columns, and only one column that is shortened
//! where the terminal is narrow.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub(super) name: &'static str,
    align: CellAlignment,
    /// Whether this is the one to shorten.
    flexible: bool,
}

/// A column of text.
pub fn column(name: &'static str) -> Column {
    Column {
        name,
        align: CellAlignment::Left,
        flexible: false,
    }
}

impl Column {
    /// A column of numbers.
    #[must_use]
    pub fn right(self) -> Self {
        Self {
            align: CellAlignment::Right,
            ..self
        }
    }

    /// The column to shorten where the table is too wide.
    #[must_use]
    pub fn flexible(self) -> Self {
        Self {
            flexible: true,
            ..self
        }
    }
}

pub(super) fn layout(
    columns: &[Column],
    mut rows: Vec<Vec<String>>,
    width: Option<usize>,
    unicode: bool,
) -> Vec<String> {
    for cell in rows.iter_mut().flatten() {
        *cell = cell.replace(char::is_control, " ");
    }
    let full = lines(columns, &rows);
    let widest = full.iter().map(|line| line.chars().count()).max();
    let flexible = columns.iter().position(|column| column.flexible);
    let (Some(limit), Some(widest), Some(at)) = (width, widest, flexible) else {
        return full;
    };
    let Some(excess) = widest.checked_sub(limit).filter(|excess| *excess > 0) else {
        return full;
    };
    let now = rows.iter().map(|row| row[at].chars().count()).max();
    let room = now.unwrap_or(0).saturating_sub(excess);
    let room = room.max(columns[at].name.len()).max(4);
    for row in &mut rows {
        shorten(&mut row[at], room, unicode);
    }
    lines(columns, &rows)
}

fn shorten(cell: &mut String, room: usize, unicode: bool) {
    if cell.chars().count() <= room {
        return;
    }
    let mark = if unicode { "…" } else { "~" };
    *cell = cell.chars().take(room - 1).collect::<String>() + mark;
}

fn lines(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|column| column.name));
    for row in rows {
        table.add_row(row);
    }
    for (index, wanted) in columns.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2)).set_cell_alignment(wanted.align);
        }
    }
    let text = table.to_string();
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        vec![
            row(["s_7q2kd4", "claude · web-app", "41"]),
            row(["s_1m2x9a", "codex\x1b[31m", "7"]),
        ]
    }

    const COLUMNS: fn() -> [Column; 3] = || {
        [
            column("SESSION"),
            column("LABEL").flexible(),
            column("CALLS").right(),
        ]
    };

    #[test]
    fn tables_have_no_borders_and_a_gutter_of_two() {
        assert_eq!(
            layout(&COLUMNS(), rows(), None, true),
            [
                "SESSION   LABEL             CALLS",
                "s_7q2kd4  claude · web-app     41",
                "s_1m2x9a  codex [31m            7",
            ]
        );
    }

    #[test]
    fn only_the_flexible_column_is_shortened() {
        assert_eq!(
            layout(&COLUMNS(), rows(), Some(27), true),
            [
                "SESSION   LABEL       CALLS",
                "s_7q2kd4  claude · …     41",
                "s_1m2x9a  codex [31m      7",
            ]
        );
        let narrow = layout(&COLUMNS(), rows(), Some(3), false);
        assert_eq!(narrow[1], "s_7q2kd4  clau~     41");
    }
}
