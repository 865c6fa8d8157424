use std::fs;
use std::path::Path;

use ntm::config::Place;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::layered;

/// What people delete, double and mistype.
const PIECES: [&str; 20] = [
    "", "[", "]", "[[", "]]", "=", "\"", "'", "{", "}", "\n", ".", "5", "-1", "ä€", "\t", "\r\n",
    "\u{feff}", "[dc]\n", "role",
];

fn examples() -> impl Strategy<Value = String> {
    const NAMES: [&str; 4] = ["terminal.toml", "dc.toml", "rs.toml", "all-in-one.toml"];
    select(&NAMES[..]).prop_map(|name| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        fs::read_to_string(folder.join(name)).unwrap()
    })
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap()
}

prop_compose! {
    /// An example with pieces of it replaced by others.
    fn spoiled()(
        mut text in examples(),
        edits in vec((any::<Index>(), 0..6_usize, select(&PIECES[..])), 0..5),
    ) -> String {
        for (at, length, piece) in edits {
            let begin = floor(&text, at.index(text.len() + 1));
            let end = floor(&text, (begin + length).min(text.len()));
            text.replace_range(begin..end.max(begin), piece);
        }
        text
    }
}

prop_compose! {
    fn set()(
        path in "(node|dc|transport|vip|log|x)?(\\.|\\[[0-9]{0,3}\\]|\\.(name|role|config|0|a b))*",
        value in select(&PIECES[..]),
        separator in select(&["=", "", " = "][..]),
    ) -> String {
        format!("{path}{separator}{value}")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_a_configuration_or_problems_that_can_be_shown(
        text in spoiled(),
        sets in vec(set(), 0..3),
    ) {
        let variables: Vec<_> = sets
            .iter()
            .filter_map(|set| set.split_once('='))
            .map(|(path, value)| (format!("NTM_{}", path.replace('.', "__")), value))
            .collect();
        let variables: Vec<_> = variables.iter().map(|(path, value)| (path.as_str(), *value)).collect();
        let sets: Vec<_> = sets.iter().map(String::as_str).collect();
        for result in [layered(&text, &[], &sets), layered(&text, &variables, &[])] {
            let Err(error) = result else { continue };
            prop_assert!(!error.problems().is_empty());
            prop_assert!(!error.to_string().is_empty());
            for problem in error.problems() {
                if let Place::Line { line, column, text: shown, .. } = &problem.place {
                    let own = text.split('\n').nth(line - 1).unwrap_or_default();
                    prop_assert_eq!(shown, own.trim_end());
                    prop_assert!(*column <= own.chars().count() + 1);
                }
            }
        }
    }
}
