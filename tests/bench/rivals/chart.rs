//! The chart of the README.

use std::fmt::Write;

use crate::publish::{COLUMNS, Row, figure};

const HEAD: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 450\" width=\"900\" \
    height=\"450\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n\
    <title>ftpd beside five other servers</title>\n\
    <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#fff\"/>\n";

/// The length of the longest bar of a row.
const LONGEST: f64 = 270.0;

/// Draws each row as six bars, in two columns.
pub fn drawn(rows: &[Row]) -> String {
    let mut svg = HEAD.to_owned();
    for (number, (title, values)) in rows.iter().enumerate() {
        let (x, y) = (12 + 440 * (number % 2), 26 + 146 * (number / 2));
        let title = capital(title);
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" font-weight=\"bold\">{title}</text>");
        let most = values.iter().copied().fold(0.0, f64::max);
        for (line, ((_, name), value)) in COLUMNS.iter().zip(values).enumerate() {
            let y = y + 21 + 17 * line;
            let width = (LONGEST * value / most).max(1.0).round();
            let color = if line == 0 { "#0969c8" } else { "#b8c0ca" };
            let _ = write!(
                svg,
                "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{name}</text>",
                x + 66
            );
            let _ = write!(
                svg,
                "<rect x=\"{}\" y=\"{}\" width=\"{width}\" height=\"13\" fill=\"{color}\"/>",
                x + 72,
                y - 11
            );
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{y}\">{}</text>",
                x as f64 + 78.0 + width,
                figure(*value)
            );
        }
    }
    svg + "</svg>\n"
}

fn capital(title: &str) -> String {
    let (first, rest) = title.split_at(1);
    first.to_uppercase() + rest
}
