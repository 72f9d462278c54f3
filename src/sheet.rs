//! A sheet: rows as CSV (RFC 4180), for people who open it with a spreadsheet.
//!
//! Promise: no cell is run. A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, so such a text gets an
//! apostrophe before it, and so does one that begins with white space or a control character, which some skip. Where cells end at
//! a semicolon or a tab, as in many countries, the same may begin in the middle of a text, and quotes need not prevent it: a sign
//! behind one of these, or behind a line break, gets an apostrophe too.

use std::borrow::Cow;

/// A page of a sheet: rows of cells, the first page's behind the headings. An empty cell is nothing.
pub fn page<C: AsRef<str>>(headings: Option<&[&str]>, rows: &[Vec<Option<C>>]) -> csv::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(headings) = headings {
        write(&mut bytes, csv::QuoteStyle::Necessary, headings.iter().copied())?;
    }
    for row in rows {
        let cells: Vec<Cow<'_, str>> =
            row.iter().map(|cell| cell.as_ref().map(|cell| safe(cell.as_ref())).unwrap_or_default()).collect();
        let is_split = cells.iter().any(|cell| cell.contains(ENDS_OF_CELLS));
        let style = if is_split { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        write(&mut bytes, style, cells.iter().map(|cell| &**cell))?;
    }
    Ok(bytes)
}

fn write<'c>(sheet: &mut Vec<u8>, style: csv::QuoteStyle, cells: impl Iterator<Item = &'c str>) -> csv::Result<()> {
    let mut writer = csv::WriterBuilder::new();
    writer.terminator(csv::Terminator::CRLF).quote_style(style).buffer_capacity(1 << 10);
    let mut writer = writer.from_writer(sheet);
    writer.write_record(cells)?;
    Ok(writer.flush()?)
}

/// Where a spreadsheet may end a cell, beside the comma, which is quoted for all of them.
const ENDS_OF_CELLS: [char; 4] = [';', '\t', '\n', '\r'];

/// A text that no spreadsheet takes for a formula, nor any part of it.
fn safe(text: &str) -> Cow<'_, str> {
    let is_sign = |c: char| "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(c);
    let is_first = text.starts_with(|c: char| is_sign(c) || c.is_whitespace() || c.is_control());
    if !is_first && !text.contains(ENDS_OF_CELLS) {
        return text.into();
    }
    let mut safe = if is_first { "'".to_owned() } else { String::new() };
    for part in text.split_inclusive(ENDS_OF_CELLS) {
        let begins = part.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '"');
        // The first part has its apostrophe, if it needs one.
        if safe.ends_with(ENDS_OF_CELLS) && begins.starts_with(is_sign) {
            safe.push('\'');
        }
        safe.push_str(part);
    }
    safe.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_every_row_is_read_back() {
        let hostile = ["=cmd|' /C calc'!A0", "+233261234567", "-1+1", "@SUM(A1)", "\t1", " =1", "＝1"];
        let mut rows: Vec<_> = hostile.iter().map(|text| vec![Some(*text), None]).collect();
        rows.push(vec![Some("plain, \"quoted\"\nand long"), Some("1=2")]);
        let bytes = page(Some(&["a", "b"]), &rows).unwrap();
        assert!(bytes.starts_with(b"a,b\r\n"));
        let rows: Vec<csv::StringRecord> = csv::Reader::from_reader(&*bytes).records().map(Result::unwrap).collect();
        for (row, text) in rows.iter().zip(hostile) {
            assert_eq!((&row[0], &row[1]), (&*format!("'{text}"), ""));
        }
        assert_eq!((&rows[7][0], &rows[7][1]), ("plain, \"quoted\"\nand long", "1=2"));
        assert_eq!(page(None, &[vec![Some("1"), None]]).unwrap(), b"1,\r\n", "the next page has no headings");
    }

    #[test]
    fn no_part_of_a_cell_is_a_formula_where_cells_end_elsewhere() {
        for (text, safe) in [
            ("1GB;=HYPERLINK(1)", "1GB;'=HYPERLINK(1)"),
            ("1GB; =1", "1GB;' =1"),
            ("1GB\t+1", "1GB\t'+1"),
            ("a;b;@c;-d", "a;b;'@c;'-d"),
            ("two\n=1", "two\n'=1"),
            ("two\r\n=1", "two\r\n'=1"),
            ("a;\"=1\"", "a;'\"=1\""),
            ("\t=1", "'\t'=1"),
            ("\n=1", "'\n'=1"),
            ("=1;=2", "'=1;'=2"),
            ("a;b=c", "a;b=c"),
            ("a,=b", "a,=b"),
        ] {
            let bytes = page(None, &[vec![Some(text), Some("plain"), None]]).unwrap();
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*bytes);
            let row = reader.records().next().unwrap().unwrap();
            assert_eq!((&row[0], &row[1], &row[2]), (safe, "plain", ""), "{text:?}");
        }
        let row = [vec![Some("1GB;x"), Some("plain")], vec![Some("1GB"), None]];
        assert_eq!(page(None, &row).unwrap(), b"\"1GB;x\",\"plain\"\r\n1GB,\r\n");
    }
}
