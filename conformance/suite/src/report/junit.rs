use std::fmt::Write as _;

use super::Report;
use crate::outcome::Outcome;

impl Report {
    /// Reports as one JUnit file: a suite for each plugin, a case for each promise.
    pub fn junit(reports: &[Self]) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
        for report in reports {
            report.write_suite(&mut out);
        }
        out.push_str("</testsuites>\n");
        out
    }

    fn write_suite(&self, out: &mut String) {
        let failed = self.failed().count();
        let skipped = self.count(|it| matches!(it, Outcome::NotClaimed(_) | Outcome::NotTried(_)));
        let class = escape(&format!("{}.{}", self.kind, self.name));
        let _ = writeln!(
            out,
            "  <testsuite name=\"{class}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\">",
            self.tried.len()
        );
        for it in &self.tried {
            let name = escape(&format!("{} {}", it.requirement.id, it.requirement.title));
            let remark = escape(&it.outcome.remark());
            let inside = match it.outcome {
                Outcome::Passed(_) => String::new(),
                Outcome::Failed(_) => format!("<failure message=\"{remark}\"/>"),
                Outcome::NotClaimed(_) | Outcome::NotTried(_) => {
                    format!("<skipped message=\"{remark}\"/>")
                }
            };
            let _ = writeln!(
                out,
                "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{:.3}\">{inside}</testcase>",
                it.took.as_secs_f64()
            );
        }
        out.push_str("  </testsuite>\n");
    }
}

/// What XML 1.0 has no form for is left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c if (c as u32) < 0x20 || c == '\u{fffe}' || c == '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn every_case_is_there_and_what_was_said_is_escaped() {
        let xml = Report::junit(&[sample()]);
        assert!(xml.contains("tests=\"4\" failures=\"1\" skipped=\"2\""), "{xml}");
        assert!(xml.contains("<failure message=\"a &lt; b &amp; &quot;c&quot;\"/>"), "{xml}");
        assert_eq!(xml.matches("<testcase ").count(), 4);
        assert!(xml.contains("time=\"1.500\""), "{xml}");
    }
}
