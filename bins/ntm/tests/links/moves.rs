use ntm_lab::{Conditions, Family};

use crate::stage::Plan;

ntm_lab::trials![
    nothing_is_lost_when_the_route_moves_to_another_link,
    nothing_is_lost_when_a_preferred_link_appears,
    nothing_is_lost_through_a_relay,
    a_link_through_which_nothing_passes_is_not_used,
    a_link_that_is_not_preferred_is_used_when_the_other_goes,
];

/// `eth0` costs less than what nothing is said of.
const LIKES_ETH0: &str = "[[paths.link]]\ninterface = \"eth*\"\ncost = 10\n";
const LIKES_WLAN0: &str = "[[paths.link]]\ninterface = \"wlan?\"\ncost = 10\n";

/// A machine with too much to do loses packets by itself; a move that loses some does
/// so every time.
fn loses_nothing(mut attempt: impl FnMut() -> [u64; 2]) {
    let lost: Vec<_> = (0..3).map(|_| attempt()).take_while(|lost| *lost != [0, 0]).collect();
    assert!(lost.len() < 3, "lost at each attempt: {lost:?}");
}

fn nothing_is_lost_when_the_route_moves_to_another_link() {
    for family in Family::BOTH {
        loses_nothing(|| {
            let plan = Plan { family, relayed: false, first: "wlan0", sections: "" };
            let stage = plan.build();
            let probe = stage.probe();
            stage.plug("eth0");
            assert_eq!(stage.settles_on("eth0"), 1);
            stage.unplug("wlan0");
            let lost = stage.lost(probe);
            assert_eq!(stage.settles_on("eth0"), 1, "without the first link it is no move");
            lost
        });
    }
}

fn nothing_is_lost_when_a_preferred_link_appears() {
    for family in Family::BOTH {
        loses_nothing(|| {
            let plan = Plan { family, relayed: false, first: "eth0", sections: LIKES_WLAN0 };
            let stage = plan.build();
            let probe = stage.probe();
            stage.plug("wlan0");
            assert_eq!(stage.settles_on("wlan0"), 1, "although routes lead by the other");
            stage.unplug("eth0");
            stage.lost(probe)
        });
    }
}

fn nothing_is_lost_through_a_relay() {
    loses_nothing(|| {
        let plan = Plan { family: Family::V4, relayed: true, first: "wlan0", sections: LIKES_ETH0 };
        let stage = plan.build();
        let probe = stage.probe();
        stage.plug("eth0");
        assert_eq!(stage.settles_on("eth0"), 1);
        stage.lost(probe)
    });
}

fn a_link_through_which_nothing_passes_is_not_used() {
    loses_nothing(|| {
        let plan =
            Plan { family: Family::V4, relayed: false, first: "wlan0", sections: LIKES_ETH0 };
        let stage = plan.build();
        let probe = stage.probe();
        let eth0 = stage.mn.0.eth0();
        eth0.link().set(Conditions::PERFECT.with_loss(1.0));
        stage.plug("eth0");
        stage.says("a better link does not answer");
        let lost = stage.lost(probe);
        assert_eq!(stage.mn.1.handovers().unwrap().len(), 0, "it has not moved");
        // When there is nothing else it is used all the same.
        eth0.link().set(Conditions::PERFECT);
        stage.unplug("wlan0");
        assert_eq!(stage.settles_on("eth0"), 1);
        lost
    });
}

fn a_link_that_is_not_preferred_is_used_when_the_other_goes() {
    loses_nothing(|| {
        let plan =
            Plan { family: Family::V4, relayed: false, first: "wlan0", sections: LIKES_WLAN0 };
        let stage = plan.build();
        let probe = stage.probe();
        stage.plug("eth0");
        let lost = stage.lost(probe);
        assert_eq!(stage.mn.1.handovers().unwrap().len(), 0, "routes lead by eth0, and it stays");
        stage.unplug("wlan0");
        assert_eq!(stage.settles_on("eth0"), 1);
        lost
    });
}
