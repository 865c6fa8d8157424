use std::path::Path;

use crate::patch::Patch;

/// Something taken away, and who has to notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The name of its file without the ending.
    pub name: String,
    /// What is taken away.
    pub what: String,
    /// What does not hold without it.
    pub invariant: String,
    /// The tests that fail then, each of them.
    pub caught_by: Vec<Catch>,
    /// The change.
    pub patch: Patch,
}

/// A test that notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catch {
    /// The crate that it is in.
    pub package: String,
    /// The file in `tests/`; `lib` for a test beside the code.
    pub target: String,
    /// Its name, with its modules.
    pub test: String,
    /// What its assertion says.
    pub says: String,
}

impl Mutation {
    /// From the text of a file of this name.
    ///
    /// # Errors
    /// What is missing in it, or wrong.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let (mut what, mut invariant, mut caught_by) = (None, None, Vec::<Catch>::new());
        for line in text.lines().take_while(|line| !line.starts_with("--- ")) {
            let Some((key, value)) = line.split_once(": ") else { continue };
            match key {
                "What" => what = Some(value.to_owned()),
                "Invariant" => invariant = Some(value.to_owned()),
                "Caught by" => caught_by.push(Catch::parse(value)?),
                "Says" => {
                    let catch = caught_by.last_mut().ok_or("\"Says\" without \"Caught by\"")?;
                    catch.says = value.to_owned();
                }
                other => return Err(format!("{other:?} is no word of a mutation")),
            }
        }
        if caught_by.is_empty() || caught_by.iter().any(|catch| catch.says.is_empty()) {
            return Err("\"Caught by\", or what the test says, is missing".into());
        }
        Ok(Self {
            name: name.to_owned(),
            what: what.ok_or("\"What\" is missing")?,
            invariant: invariant.ok_or("\"Invariant\" is missing")?,
            caught_by,
            patch: Patch::parse(text)?,
        })
    }
}

impl Catch {
    /// Where it is and how it is called, for people.
    pub fn shown(&self) -> String {
        format!("{} {} {}", self.package, self.target, self.test)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split(' ').map(str::to_owned);
        let mut word = || words.next().filter(|word| !word.is_empty());
        let (Some(package), Some(target), Some(test), None) = (word(), word(), word(), word())
        else {
            return Err(format!("not a crate, a file and a test: {text:?}"));
        };
        Ok(Self { package, target, test, says: String::new() })
    }
}

/// The mutations in a folder, in the order of their names.
///
/// # Errors
/// The file that is wrong, and why.
pub fn all(folder: &Path) -> Result<Vec<Mutation>, String> {
    let at = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(at)? {
        let file = entry.map_err(at)?.path();
        if file.extension().is_some_and(|extension| extension == "patch") {
            files.push(file);
        }
    }
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        text.and_then(|text| Mutation::parse(&name, &text))
            .map_err(|what| format!("{}: {what}", file.display()))
    };
    files.iter().map(read).collect()
}
