use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ntm::Exit;
use ntm_lab::scenario;

use crate::cli::Failure;

/// What nodes work with.
#[derive(Args, Clone)]
pub(super) struct Outfit {
    /// How datagrams travel; several with commas, the best first.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "udp")]
    transport: Vec<Transport>,
    /// Load all plugins of all nodes from this folder, where the shared objects of the
    /// built-in ones are, as `cargo build` makes them.
    #[arg(long, value_name = "FOLDER")]
    libraries: Option<PathBuf>,
    /// Drop UDP port 4330 at every machine (needs nft).
    #[arg(long)]
    block_udp: bool,
}

/// How datagrams travel.
#[derive(Clone, Copy, ValueEnum)]
enum Transport {
    /// Straight in UDP.
    Udp,
    /// In QUIC.
    Quic,
}

impl From<Transport> for scenario::domain::Transport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Udp => Self::Udp,
            Transport::Quic => Self::Quic,
        }
    }
}

impl Outfit {
    /// As the lab has it.
    pub(super) fn get(&self) -> Result<scenario::Outfit, Failure> {
        let libraries = self.libraries.as_ref().map(|folder| {
            // Nodes do not run where this command does.
            folder.canonicalize().map_err(|error| {
                let message = format!("cannot find the folder {}: {error}", folder.display());
                Failure::new(Exit::Missing, message)
            })
        });
        let transports: Vec<_> = self.transport.iter().copied().map(Into::into).collect();
        if self.block_udp && transports == [scenario::domain::Transport::Udp] {
            let message = "without UDP nodes need another transport: --transport quic";
            return Err(Failure::new(Exit::Usage, message));
        }
        Ok(scenario::Outfit {
            transports,
            libraries: libraries.transpose()?,
            block_udp: self.block_udp,
        })
    }

    /// What another process of this program is called with for the same.
    pub(super) fn arguments(&self) -> Vec<String> {
        let names = self.transport.iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<_> = names.map(|it| it.get_name().to_owned()).collect();
        let mut arguments = vec!["--transport".to_owned(), names.join(",")];
        if let Some(folder) = &self.libraries {
            arguments.extend(["--libraries".to_owned(), folder.display().to_string()]);
        }
        if self.block_udp {
            arguments.push("--block-udp".to_owned());
        }
        arguments
    }
}
