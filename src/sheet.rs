//! A sheet: rows as CSV (RFC 4180), for people who open it with a spreadsheet.
//!
//! Promise: no cell is run. A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, so such a text gets an
//! apostrophe before it, and so does one that begins with white space or a control character, which some skip.

use std::borrow::Cow;

/// A page of a sheet: rows of cells, the first page's behind the headings. An empty cell is nothing.
pub fn page<C: AsRef<str>>(headings: Option<&[&str]>, rows: &[Vec<Option<C>>]) -> csv::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    if let Some(headings) = headings {
        writer.write_record(headings)?;
    }
    for row in rows {
        for cell in row {
            let cell = cell.as_ref().map(|cell| safe(cell.as_ref()));
            writer.write_field(cell.as_deref().unwrap_or_default())?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// A text that no spreadsheet takes for a formula.
fn safe(text: &str) -> Cow<'_, str> {
    let is_formula =
        |c: char| "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(c) || c.is_whitespace() || c.is_control();
    if text.starts_with(is_formula) { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_every_row_is_read_back() {
        let hostile = ["=cmd|' /C calc'!A0", "+233261234567", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "＝1"];
        let mut rows: Vec<_> = hostile.iter().map(|text| vec![Some(*text), None]).collect();
        rows.push(vec![Some("plain, \"quoted\"\nand long"), Some("1=2")]);
        let bytes = page(Some(&["a", "b"]), &rows).unwrap();
        assert!(bytes.starts_with(b"a,b\r\n"));
        let rows: Vec<csv::StringRecord> = csv::Reader::from_reader(&*bytes).records().map(Result::unwrap).collect();
        for (row, text) in rows.iter().zip(hostile) {
            assert_eq!((&row[0], &row[1]), (&*format!("'{text}"), ""));
        }
        assert_eq!((&rows[9][0], &rows[9][1]), ("plain, \"quoted\"\nand long", "1=2"));
        assert_eq!(page(None, &[vec![Some("1"), None]]).unwrap(), b"1,\r\n", "the next page has no headings");
    }
}
