use super::{Report, Ways};

/// What the paper measured, in milliseconds: acquisition, detection, rebuild.
const PAPER_MS: [u32; 3] = [3889, 13, 118];

impl Report {
    /// The report for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.setting();
        for (title, chart) in ["the start", "the first move"].iter().zip(&self.charts) {
            lines.push(format!("Signalling of {title}, as sent and received"));
            lines.extend(chart.iter().cloned());
            lines.push(String::new());
        }
        lines.extend(self.phases());
        lines.push(String::new());
        lines.extend(self.traffic());
        lines.push(String::new());
        lines.extend(self.verdicts());
        lines
    }

    fn setting(&self) -> Vec<String> {
        let addresses = match self.addresses {
            "dhcp" => "by a real DHCP server and client",
            _ => "static, since no DHCP server and client are installed",
        };
        let nat = match self.nat {
            "nft" => "by the kernel (nftables)",
            _ => "by the lab's own emulator, since nft is not installed",
        };
        vec![
            format!("Mode           {}", self.mode),
            format!(
                "Round trip     {} ms between any two hosts, {:.2} measured",
                self.rtt_ms, self.measured_rtt_ms
            ),
            format!("Addresses      {addresses}"),
            format!("NAT            {nat}"),
            String::new(),
        ]
    }

    fn phases(&self) -> Vec<String> {
        let into = self.moves.iter().filter(|one| one.into_dc_network).count();
        let all = self.moves.len();
        let phases = &self.phases_us;
        let p99 = &self.phases_p99_us;
        let rows = [
            ("Address acquisition (not ours)", self.acquisition_us, None, Some(PAPER_MS[0])),
            (
                "Detected: usable source to first datagram",
                phases.detected,
                p99.detected,
                Some(PAPER_MS[1]),
            ),
            ("Since then: RS sends to the new address", phases.relayed, p99.relayed, None),
            ("            registered", phases.registered, p99.registered, None),
            ("            directed", phases.directed, p99.directed, None),
            ("            tunnel rebuilt", phases.rebuilt, p99.rebuilt, Some(PAPER_MS[2])),
            ("            first packet from CN", phases.first_packet, p99.first_packet, None),
        ];
        let title = format!("Median of {into} moves into the DC's network, ms");
        let mut lines = vec![format!("{title:<50}{:>10}{:>10}", "ntm", "paper")];
        let with_p99 = p99.detected.is_some();
        if with_p99 {
            lines[0].push_str(&format!("{:>22}", format!("p99 of {all} moves")));
        }
        for (what, measured, p99, paper) in rows {
            let paper = paper.map_or("-".into(), |paper| paper.to_string());
            let p99 = if with_p99 { ms(p99) } else { String::new() };
            let line = format!("{what:<50}{:>10}{paper:>10}{p99:>22}", ms(measured));
            lines.push(line.trim_end().to_owned());
        }
        lines
    }

    fn traffic(&self) -> Vec<String> {
        let Ways { down, up } = self.outage_ms;
        let mut lines = vec![
            format!("{:<50}{:>10}{:>10}", "Median around a move", "to MN", "from MN"),
            format!("{:<50}{down:>10.1}{up:>10.1}", "Outage, acquisition included, ms"),
        ];
        let Ways { down, up } = self.silence_ms;
        lines.push(format!("{:<50}{down:>10.1}{up:>10.1}", "  of it since the first datagram, ms"));
        let Ways { down, up } = self.lost;
        lines.push(format!("{:<50}{down:>10}{up:>10}", "Packets lost of one a millisecond"));
        lines
    }

    fn verdicts(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .budgets
            .iter()
            .map(|budget| {
                let verdict = if budget.kept { "kept" } else { "MISSED" };
                let (measured, limit) = (ms(budget.measured_us), ms(Some(budget.limit_us)));
                format!("{verdict:<7} {} ({measured} of {limit} ms)", budget.what)
            })
            .collect();
        let same = self.moves.iter().all(|one| one.path_id == self.path_id_before);
        lines.push(String::new());
        lines.push(format!(
            "Path ID        {} {}",
            self.path_id_before,
            if same { "before and after every move" } else { "before, BUT NOT AFTER every move" }
        ));
        lines.push(format!(
            "Path           {} before the first move, {} after it",
            self.path_before, self.path_after
        ));
        let checksum = match (&self.download_error, self.checksum_ok) {
            (Some(error), _) => format!("CUT SHORT: {error}"),
            (None, true) => "the SHA-256 of both ends agree".into(),
            (None, false) => "THE SHA-256 OF BOTH ENDS DIFFER".into(),
        };
        lines.push(format!(
            "Download       {} bytes, {checksum}; longest stall {:.0} ms",
            self.bytes, self.longest_stall_ms
        ));
        lines.extend(self.complaints.iter().map(|line| format!("A node complained: {line}")));
        lines
    }
}

fn ms(us: Option<u64>) -> String {
    us.map_or("-".into(), |us| format!("{:.2}", us as f64 / 1e3))
}
