//! A library that was built for ABI 1.0 and kept is loaded and used by whatever host
//! is built today. It is never built anew but when the ABI before its release has
//! changed (`just fixture`).
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")))]
#[test]
#[ignore = "the library that is kept is for Linux on x86_64 with glibc"]
fn what_was_built_for_1_0_works() {}

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod here {
    use std::net::SocketAddr;
    use std::path::Path;

    use ntm_core::address::{Candidate, Location, Vips};
    use ntm_core::id::PublicKey;
    use ntm_core::plugin::{
        Addr, Begin, Change, Fault, InterfaceSettings, Lane, LocalAddress, LocalInterface,
        PlanRequest, Record, RelayOption, RxSlot, TxPacket, Write,
    };
    use ntm_host::{Kinds, Library};
    use serde_json::json;
    use tempfile::TempDir;

    /// A copy, since the place of the sources may be anybody's to write.
    fn load() -> (&'static Library, TempDir) {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture/x86_64-linux.so");
        let place = tempfile::tempdir().unwrap();
        let path = ntm_built::copied(&kept, place.path());
        (Library::load(&path).unwrap(), place)
    }

    /// More than fits into one call.
    fn comes_back(lane: &dyn Lane) {
        let sent: Vec<Vec<u8>> = (1..=5u8).map(|at| vec![at; 100 * usize::from(at)]).collect();
        let packets: Vec<_> = sent.iter().map(|it| TxPacket::new(it, Addr::NONE)).collect();
        assert_eq!(lane.try_send(&packets).unwrap(), 5);
        let mut received = Vec::new();
        let mut buffers = [[0; 2000]; 3];
        while received.len() < 5 {
            let mut slots = buffers.each_mut().map(|it| RxSlot::new(it));
            let filled = lane.try_recv(&mut slots).unwrap();
            for slot in &slots[..filled] {
                assert_eq!(slot.remote.socket(), "192.0.2.9:4330".parse::<SocketAddr>().ok());
                assert_eq!((slot.local.ip(), slot.ifindex), ("192.0.2.1".parse().ok(), 7));
                assert_eq!((slot.ecn, slot.segment), (1, 0));
                received.push(slot.filled().to_vec());
            }
        }
        assert_eq!(received, sent);
        let mut slots = buffers.each_mut().map(|it| RxSlot::new(it));
        let empty = lane.try_recv(&mut slots).unwrap_err();
        assert_eq!(empty.kind(), std::io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn what_was_built_for_1_0_works() {
        let (library, _place) = load();
        let summary = library.summary();
        assert_eq!((summary.name.as_str(), summary.abi), ("fixture", (1, 0)));
        assert_eq!(summary.kinds.names().count(), 6);
        let nothing = json!({});
        for kind in summary.kinds.names().map(Kinds::named) {
            library.check(kind, &nothing).unwrap();
            let error = library.check(kind, &json!({ "any": 1 })).unwrap_err();
            assert_eq!((error.fault, error.key.as_deref()), (Fault::Config, Some("any")));
        }

        let transport = library.transport(&nothing, 1).unwrap();
        assert_eq!(transport.kind().0, 1);
        assert_eq!(transport.local_addrs(), ["192.0.2.1:4330".parse().unwrap()]);
        assert_eq!(transport.max_payload("192.0.2.9:4330".parse().unwrap()), Some(1200));
        assert_eq!(transport.max_payload("[2001:db8::9]:4330".parse().unwrap()), None);
        assert_eq!(transport.facts(), [("kept".into(), "since 1.0".into())]);
        assert_eq!(transport.rebind().await.unwrap_err().fault, Fault::Busy);
        transport.moved();
        comes_back(&*transport.lanes()[0]);
        transport.close().await;

        let interface = library.interface(&nothing, 1).unwrap();
        assert_eq!((interface.name().as_str(), interface.ifindex()), ("fix0", 7));
        let range = "198.18.0.0/16".parse().unwrap();
        let vips = Vips { v4: Some([198, 18, 0, 1].into()), v6: None };
        let settings = InterfaceSettings { vips, ranges: vec![range], mtu: 1400 };
        interface.configure(&settings).await.unwrap();
        interface.configure(&InterfaceSettings { mtu: 1280, ..settings }).await.unwrap_err();
        comes_back(&*interface.lanes()[0]);
        interface.close().await;

        let mut watcher = library.watcher(&nothing).unwrap();
        let found = watcher.snapshot().await.unwrap();
        let ip = "192.0.2.1".parse().unwrap();
        let address = LocalAddress { ip, prefix: 24, usable: true, preferred: true };
        let interface = LocalInterface {
            index: 7,
            name: "fix0".into(),
            running: true,
            loopback: false,
            generation: 3,
            addresses: vec![address],
        };
        assert_eq!(found.interfaces, [interface]);
        assert_eq!(watcher.next().await.unwrap(), Change::Link);
        let to = ["192.0.2.9".parse().unwrap(), "2001:db8::9".parse().unwrap()];
        let routes = watcher.routes(&to).await.unwrap();
        let way = routes[0].unwrap();
        assert_eq!((way.source, way.ifindex, way.mtu, routes[1]), (ip, 7, 1500, None));

        let traversal = library.traversal(&nothing).unwrap();
        let at = |text: &str| Candidate::udp(text.parse().unwrap());
        let end = |text: &str| Location { claimed: vec![at(text)], observed: Vec::new() };
        let request = PlanRequest {
            initiator: end("192.0.2.1:4330"),
            responder: end("192.0.2.2:4330"),
            relays: vec![RelayOption { candidates: vec![at("192.0.2.3:4330")] }],
        };
        let plan = traversal.plan(&request).await.unwrap();
        assert_eq!(plan.begin, Begin::Responder);
        let said = format!("{plan:?}");
        assert!(["192.0.2.1:4330", "192.0.2.2:4330"].iter().all(|it| said.contains(it)), "{said}");

        let vip = library.vip(&nothing).unwrap();
        assert_eq!(vip.ranges(), [range]);
        let lease = |last| Vips { v4: Some([198, 18, 0, last].into()), v6: None };
        vip.restore(&[lease(9)]).await.unwrap();
        let key = PublicKey::from_bytes([1; 32]);
        let name = "mn.example".parse().unwrap();
        assert_eq!(vip.allocate(&name, &key).await, Ok(lease(10)));
        vip.release(&lease(10)).await;

        let registry = library.registry(&nothing).unwrap();
        assert_eq!(registry.load().await, Ok(Vec::new()));
        let salt = Record::Domain { salt: [7; 32] };
        registry.commit(vec![Write::Put(salt.clone())]).await.unwrap();
        assert_eq!(registry.load().await, Ok(vec![salt.clone()]));
        registry.commit(vec![Write::Delete(salt.key())]).await.unwrap();
        assert_eq!(registry.load().await, Ok(Vec::new()));
    }
}
