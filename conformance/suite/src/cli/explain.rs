use ntm_conformance::wire::CHECKS;
use ntm_conformance::{Check, Kind, Requirement, contract};

use super::{Failure, say, usage};

/// Says what there is to say about a promise.
pub(super) fn explain(id: &str) -> Result<(), Failure> {
    let wanted = id.to_ascii_uppercase();
    if let Some(check) = CHECKS.iter().find(|check| check.requirement.id == wanted) {
        let Requirement { id, title, why, section, .. } = check.requirement;
        say(format!("{id}  {title}"));
        say("  of        a node that --wire names");
        say(format!("  or else   {why}"));
        say(format!("  stands in {section}"));
        return Ok(());
    }
    let Some(Check { requirement, needs, limit, lab, .. }) =
        contract::all().find(|check| check.id() == wanted)
    else {
        let remedy = "`--list` shows what there is";
        return Err(usage(format!("no promise is called {id}"), remedy));
    };
    let kinds: Vec<_> = requirement.kinds.iter().copied().map(Kind::name).collect();
    say(format!("{}  {}", requirement.id, requirement.title));
    say(format!("  of        {}", kinds.join(", ")));
    say(format!("  or else   {}", requirement.why));
    say(format!("  stands in {}", requirement.section));
    if !needs.is_empty() {
        say(format!("  tried if  {} is claimed", needs.join(", ")));
    }
    if *lab {
        say("  tried     with --lab alone");
    }
    say(format!("  limit     {} s", limit.as_secs()));
    Ok(())
}
