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

fn nothing_is_lost_when_the_route_moves_to_another_link() {
    for family in Family::BOTH {
        let plan = Plan { family, relayed: false, first: "wlan0", sections: "" };
        let stage = plan.build();
        let probe = stage.probe();
        stage.plug("eth0");
        assert_eq!(stage.settles_on("eth0"), 1);
        stage.drains();
        stage.unplug("wlan0");
        assert_eq!(stage.lost(probe), [0, 0], "{family:?}");
        assert_eq!(stage.settles_on("eth0"), 1, "without the first link it is no move");
    }
}

fn nothing_is_lost_when_a_preferred_link_appears() {
    for family in Family::BOTH {
        let plan = Plan { family, relayed: false, first: "eth0", sections: LIKES_WLAN0 };
        let stage = plan.build();
        let probe = stage.probe();
        stage.plug("wlan0");
        assert_eq!(stage.settles_on("wlan0"), 1, "although routes lead by the other");
        stage.drains();
        stage.unplug("eth0");
        assert_eq!(stage.lost(probe), [0, 0], "{family:?}");
    }
}

fn nothing_is_lost_through_a_relay() {
    let plan = Plan { family: Family::V4, relayed: true, first: "wlan0", sections: LIKES_ETH0 };
    let stage = plan.build();
    let probe = stage.probe();
    stage.plug("eth0");
    assert_eq!(stage.settles_on("eth0"), 1);
    assert_eq!(stage.lost(probe), [0, 0]);
}

fn a_link_through_which_nothing_passes_is_not_used() {
    let plan = Plan { family: Family::V4, relayed: false, first: "wlan0", sections: LIKES_ETH0 };
    let stage = plan.build();
    let probe = stage.probe();
    let eth0 = stage.mn.0.eth0();
    eth0.link().set(Conditions::PERFECT.with_loss(1.0));
    stage.plug("eth0");
    stage.says("a better link does not answer");
    assert_eq!(stage.lost(probe), [0, 0]);
    assert_eq!(stage.mn.1.handovers().unwrap().len(), 0, "it has not moved");
    // When there is nothing else it is used all the same.
    eth0.link().set(Conditions::PERFECT);
    stage.unplug("wlan0");
    assert_eq!(stage.settles_on("eth0"), 1);
}

fn a_link_that_is_not_preferred_is_used_when_the_other_goes() {
    let plan = Plan { family: Family::V4, relayed: false, first: "wlan0", sections: LIKES_WLAN0 };
    let stage = plan.build();
    let probe = stage.probe();
    stage.plug("eth0");
    assert_eq!(stage.lost(probe), [0, 0]);
    assert_eq!(stage.mn.1.handovers().unwrap().len(), 0, "routes lead by eth0, and it stays");
    stage.unplug("wlan0");
    assert_eq!(stage.settles_on("eth0"), 1);
}
