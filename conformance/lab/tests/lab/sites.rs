//! Hosts at sites: addresses by DHCP and by plan, moves, round trips.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use ntm_lab::host::{Asks, Configured};
use ntm_lab::recorder::Change;
use ntm_lab::scenario::until;
use ntm_lab::traffic::{Download, Probe, round_trip};
use ntm_lab::{Conditions, Family, Host, Lab, Nat, Site, Tools};

ntm_lab::trials![
    a_mobile_host_has_a_lease_where_dhcp_is_installed_and_else_a_plan,
    dnsmasq_serves_where_there_is_no_udhcpd,
    any_two_hosts_see_the_round_trip_asked_for,
    a_move_takes_the_old_addresses_away_before_the_new_ones_come,
    a_host_gets_its_old_address_back_at_a_site_it_knows,
    a_host_behind_two_routers_is_seen_as_the_outer_one,
    a_site_of_one_family_has_no_other,
    a_second_interface_carries_on_when_the_first_one_leaves,
    everything_goes_on_between_hosts_that_stay,
    a_host_that_gets_no_address_says_so,
];

const MS: Duration = Duration::from_millis(1);

fn a_mobile_host_has_a_lease_where_dhcp_is_installed_and_else_a_plan() {
    for tools in [Tools::none(), Tools::detect()] {
        let (installed, here) = (tools.udhcpc.is_some(), Tools::none() != tools);
        let mut lab = Lab::new(tools).unwrap();
        let office = lab.global("office").unwrap();
        let home = lab.private("home", Nat::Cone, &office).unwrap();
        let mn = lab.mobile("mn", Conditions::PERFECT).unwrap();
        let cn = lab.host("cn", Conditions::PERFECT).unwrap();
        for site in [&office, &home] {
            mn.join(site).unwrap();
            cn.join(site).unwrap();
            let leased = mn.eth0().configured(site) == Configured::ByDhcp;
            assert_eq!(leased, installed && site.has_dhcp(), "tools: {here}");
            assert_eq!(cn.eth0().configured(site), Configured::ByPlan);
            // The second half of a subnet is for leases: both sites begin a block.
            let IpAddr::V4(ip) = mn.address(Family::V4).unwrap() else { panic!("not IPv4") };
            assert_eq!(ip.octets()[3] >= 16, leased, "{ip}");
            round_trip(mn.netns(), cn.netns(), cn.address(Family::V6).unwrap(), 1).unwrap();
            round_trip(mn.netns(), cn.netns(), cn.address(Family::V4).unwrap(), 1).unwrap();
            mn.eth0().leave().unwrap();
            cn.eth0().leave().unwrap();
        }
    }
}

fn dnsmasq_serves_where_there_is_no_udhcpd() {
    let tools = Tools { udhcpd: None, ..Tools::detect() };
    if tools.dnsmasq.is_none() || tools.udhcpc.is_none() {
        println!("not installed: not tried");
        return;
    }
    let mut lab = Lab::new(tools).unwrap();
    let office = lab.global("office").unwrap();
    let mn = lab.mobile("mn", Conditions::PERFECT).unwrap();
    mn.join(&office).unwrap();
    assert_eq!(mn.eth0().configured(&office), Configured::ByDhcp);
    let address = mn.address(Family::V4).unwrap().to_string();
    let given = office.dhcp().unwrap().process().lines_matching("DHCPACK");
    assert!(given.iter().any(|line| line.text.contains(&address)), "{given:?}");
}

fn any_two_hosts_see_the_round_trip_asked_for() {
    let mut lab = Lab::new(Tools::none()).unwrap();
    let sites = [lab.global("one").unwrap(), lab.global("two").unwrap()];
    let hosts = ["a", "b", "c"].map(|name| {
        let host = lab.host(name, Conditions::round_trip(40 * MS)).unwrap();
        host.join(&sites[usize::from(name == "c")]).unwrap();
        host
    });
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        // A machine with too much to do delays by itself, for a while.
        until("the round trip", 60_000 * MS, || {
            Ok(lab.check_round_trip(&hosts[from], &hosts[to], 40 * MS).ok())
        })
        .unwrap();
    }
    hosts[0].eth0().link().set(Conditions::PERFECT);
    let complaint = lab.check_round_trip(&hosts[0], &hosts[1], 40 * MS).unwrap_err();
    assert!(complaint.to_string().contains("not 40ms"), "{complaint}");
}

fn a_move_takes_the_old_addresses_away_before_the_new_ones_come() {
    for tools in [Tools::none(), Tools::detect()] {
        let mut lab = Lab::new(tools).unwrap();
        let office = lab.global("office").unwrap();
        let home = lab.private("home", Nat::Cone, &office).unwrap();
        let mn = lab.mobile("mn", Conditions::PERFECT).unwrap();
        mn.join(&office).unwrap();
        let moved = mn.move_to(&home).unwrap();
        for family in Family::BOTH {
            let seen = mn
                .recorder()
                .wait_for_move("eth0", family.anywhere(), moved.left, 5000 * MS)
                .unwrap();
            let order = [moved.left, seen.carrier_down, seen.carrier_up, seen.usable_source];
            assert!(order.is_sorted_by(|earlier, later| earlier < later), "{family}: {seen:?}");
            assert!(home.contains(mn.address(family).unwrap()));
            let own = |site: &Site, ip| site.contains(ip) && Family::from(ip) == family;
            let mut changes =
                mn.recorder().events().into_iter().filter(|event| event.at >= moved.left);
            let gone = changes.any(|event| {
                matches!(event.change, Change::NoAddress { net, .. } if own(&office, net.addr()))
            });
            let came = changes.any(|event| {
                matches!(event.change, Change::Address { address, .. } if own(&home, address.net.addr()))
            });
            assert!(
                gone && came,
                "{family}: the old one went: {gone}, the new one then came: {came}"
            );
        }
        let stale: Vec<_> = mn.netns().netlink().addresses("eth0").unwrap();
        assert!(!stale.iter().any(|address| office.contains(address.net.addr())), "{stale:?}");
    }
}

fn a_host_gets_its_old_address_back_at_a_site_it_knows() {
    let mut lab = Lab::new(Tools::none()).unwrap();
    let [office, cafe] = ["office", "cafe"].map(|name| lab.global(name).unwrap());
    let [a, b] = ["a", "b"].map(|name| lab.host(name, Conditions::PERFECT).unwrap());
    a.join(&office).unwrap();
    b.join(&office).unwrap();
    let first = addresses(&a);
    assert_ne!(first, addresses(&b));
    a.move_to(&cafe).unwrap();
    a.eth0().settle(&cafe, 5000 * MS).unwrap();
    assert_ne!(first, addresses(&a));
    a.move_to(&office).unwrap();
    a.eth0().settle(&office, 5000 * MS).unwrap();
    assert_eq!(first, addresses(&a));
}

fn a_host_behind_two_routers_is_seen_as_the_outer_one() {
    for tools in [Tools::none(), Tools::detect()] {
        let mut lab = Lab::new(tools).unwrap();
        let office = lab.global("office").unwrap();
        let provider = lab.private("provider", Nat::Symmetric, &office).unwrap();
        let home = lab.private("home", Nat::Cone, &provider).unwrap();
        let [mn, cn] = ["mn", "cn"].map(|name| lab.host(name, Conditions::PERFECT).unwrap());
        mn.join(&home).unwrap();
        cn.join(&office).unwrap();
        for family in Family::BOTH {
            let server = socket(&cn, cn.address(family).unwrap());
            let host = socket(&mn, mn.address(family).unwrap());
            host.send_to(b"hello", server.local_addr().unwrap()).unwrap();
            let (_, seen) = server.recv_from(&mut [0; 16]).unwrap();
            assert_eq!(Some(seen.ip()), provider.router().unwrap().outer_address(family));
            server.send_to(b"hello yourself", seen).unwrap();
            assert_eq!(host.recv(&mut [0; 16]).unwrap(), 14);
        }
    }
}

fn a_site_of_one_family_has_no_other() {
    let mut lab = Lab::new(Tools::none()).unwrap();
    let mn = lab.host("mn", Conditions::PERFECT).unwrap();
    for (family, other) in [(Family::V4, Family::V6), (Family::V6, Family::V4)] {
        let outside = lab.global_of(&format!("only {family}"), &[family]).unwrap();
        let inside = lab.private(&format!("home{family}"), Nat::Cone, &outside).unwrap();
        for site in [&outside, &inside] {
            mn.join(site).unwrap();
            assert!(site.contains(mn.address(family).unwrap()));
            assert!(mn.address(other).is_err());
            mn.eth0().leave().unwrap();
        }
    }
}

fn a_second_interface_carries_on_when_the_first_one_leaves() {
    let mut lab = Lab::new(Tools::none()).unwrap();
    let [office, cafe] = ["office", "cafe"].map(|name| lab.global(name).unwrap());
    let cn = lab.host("cn", Conditions::PERFECT).unwrap();
    let mut mn = lab.host("mn", Conditions::PERFECT).unwrap();
    lab.add_interface(&mut mn, "wlan0", Asks::Nobody, Conditions::PERFECT).unwrap();
    cn.join(&office).unwrap();
    mn.join(&office).unwrap();
    mn.port("wlan0").unwrap().join(&cafe).unwrap();
    let server = socket(&cn, cn.address(Family::V4).unwrap());
    let sender = mn.netns().run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    let seen = || {
        sender.send_to(b"hello", server.local_addr().unwrap()).unwrap();
        server.recv_from(&mut [0; 16]).unwrap().1.ip()
    };
    assert!(office.contains(seen()), "the first interface is preferred");
    mn.eth0().leave().unwrap();
    let start = Instant::now();
    while mn.address(Family::V4).is_ok() {
        assert!(start.elapsed() < 5000 * MS, "the address did not go");
        std::thread::sleep(MS);
    }
    assert!(cafe.contains(seen()));
    assert!(mn.port("eth1").is_err());
}

fn everything_goes_on_between_hosts_that_stay() {
    let mut lab = Lab::new(Tools::detect()).unwrap();
    let [office, cafe] = ["office", "cafe"].map(|name| lab.global(name).unwrap());
    let home = lab.private("home", Nat::Symmetric, &office).unwrap();
    let stay = |lab: &mut Lab, name: &str, site: &Site| {
        let host = lab.host(name, Conditions::round_trip(4 * MS)).unwrap();
        host.join(site).unwrap();
        host
    };
    let (a, b) = (stay(&mut lab, "a", &home), stay(&mut lab, "b", &cafe));
    let mn = lab.mobile("mn", Conditions::round_trip(4 * MS)).unwrap();
    mn.join(&office).unwrap();
    let address = b.address(Family::V6).unwrap();
    let download = Download::of(2 << 20).paced(4 << 20).start(b.netns(), address, a.netns());
    let download = download.unwrap();
    let at = |host: &Host| (host.netns().clone(), host.address(Family::V4).unwrap());
    let c = stay(&mut lab, "c", &office);
    let ((b_netns, b_ip), (c_netns, c_ip)) = (at(&b), at(&c));
    let probe = Probe::default().start((&b_netns, b_ip), (&c_netns, c_ip)).unwrap();
    for site in [&home, &cafe, &office] {
        mn.move_to(site).unwrap();
        mn.eth0().settle(site, 5000 * MS).unwrap();
    }
    let flows = probe.stop(50 * MS).unwrap();
    assert_eq!((flows.there.lost, flows.back.lost), (0, 0));
    assert!(download.finish().unwrap().intact);
}

fn a_host_that_gets_no_address_says_so() {
    let mut lab = Lab::new(Tools::none()).unwrap();
    let [office, cafe] = ["office", "cafe"].map(|name| lab.global(name).unwrap());
    let mn = lab.host("mn", Conditions::PERFECT).unwrap();
    mn.join(&office).unwrap();
    let complaint = mn.eth0().settle(&cafe, 20 * MS).unwrap_err().to_string();
    assert!(complaint.contains("mn got no [V4, V6] address at cafe"), "{complaint}");
}

fn addresses(host: &Host) -> [IpAddr; 2] {
    Family::BOTH.map(|family| host.address(family).unwrap())
}

fn socket(host: &Host, address: IpAddr) -> UdpSocket {
    let socket = host.netns().run(|| UdpSocket::bind(SocketAddr::new(address, 0))).unwrap();
    socket.set_read_timeout(Some(5000 * MS)).unwrap();
    socket
}
