use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, Digest, SHA256};
use ntm_core::{Rng, Time};

use crate::clock::now;
use crate::error::{Doing, Error, Result};
use crate::netns::Netns;

/// One TCP connection over which a server sends seeded random data.
#[derive(Clone, Copy, Debug)]
pub struct Download {
    /// How much; `u64::MAX` for one that is [ended](RunningDownload::end).
    pub bytes: u64,
    /// At most so many bytes per second, so that it lasts through a move; as
    /// fast as it goes if `None`.
    pub pace: Option<u64>,
    /// Decides the data.
    pub seed: u64,
    /// Given up when nothing arrives for so long.
    pub patience: Duration,
}

/// What became of a download.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// How much arrived.
    pub bytes: u64,
    /// All arrived, and the SHA-256 sums of both ends are the same.
    pub intact: bool,
    /// From the connection to the last byte.
    pub duration: Duration,
    /// The longest time without anything arriving, the wait for the first byte
    /// included.
    pub longest_stall: Duration,
    /// When that began.
    pub stall_start: Time,
    /// Why it ended early, if it did.
    pub error: Option<String>,
}

/// A download that is under way; given up if dropped.
pub struct RunningDownload {
    received: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    ends: [TcpStream; 2],
    server: Option<JoinHandle<io::Result<Digest>>>,
    client: Option<JoinHandle<(Transfer, Digest)>>,
}

impl Download {
    /// So much, as fast as it goes, given up after 30 s without a byte.
    pub fn of(bytes: u64) -> Self {
        Self { bytes, pace: None, seed: 1, patience: Duration::from_secs(30) }
    }

    /// Until it is [ended](RunningDownload::end).
    pub fn endless() -> Self {
        Self::of(u64::MAX)
    }

    /// At most so many bytes per second.
    #[must_use]
    pub fn paced(mut self, bytes_per_second: u64) -> Self {
        self.pace = Some(bytes_per_second);
        self
    }

    /// Connects the client to the server at this address of the server's, and
    /// begins to send.
    ///
    /// # Errors
    /// The server does not have the address, or cannot be reached.
    pub fn start(self, server: &Netns, address: IpAddr, client: &Netns) -> Result<RunningDownload> {
        let listener = server
            .run(|| TcpListener::bind(SocketAddr::new(address, 0)))
            .doing(|| format!("listen on {address} in {}", server.name()))?;
        let to = listener.local_addr().doing(|| "ask for a port".to_owned())?;
        let reach = || format!("connect from {} to {to}", client.name());
        let sink = client
            .run(|| TcpStream::connect_timeout(&to, self.patience.min(CONNECT_LIMIT)))
            .doing(reach)?;
        let (source, _) = listener.accept().doing(reach)?;
        sink.set_read_timeout(Some(self.patience)).doing(reach)?;
        source.set_write_timeout(Some(self.patience)).doing(reach)?;
        let ends = [source.try_clone().doing(reach)?, sink.try_clone().doing(reach)?];
        let (received, ended) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let server = Some(thread::spawn({
            let ended = ended.clone();
            move || self.send(source, &ended)
        }));
        let client = Some(thread::spawn({
            let received = received.clone();
            move || receive(sink, &received)
        }));
        Ok(RunningDownload { received, ended, ends, server, client })
    }

    /// Does it all.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn run(self, server: &Netns, address: IpAddr, client: &Netns) -> Result<Transfer> {
        self.start(server, address, client)?.finish()
    }

    fn send(self, mut to: TcpStream, ended: &AtomicBool) -> io::Result<Digest> {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let mut block = vec![0; BLOCK];
        Rng::from_seed(seed).fill(&mut block);
        let mut digest = Context::new(&SHA256);
        let start = Instant::now();
        // Small pieces where the pace matters: one a millisecond.
        let piece = self.pace.map_or(BLOCK, |pace| (pace / 1000).clamp(1, BLOCK as u64) as usize);
        let mut sent = 0;
        while sent < self.bytes && !ended.load(Ordering::Relaxed) {
            // No two blocks are alike, so that a repeated or swapped one shows.
            block[..8].copy_from_slice(&sent.to_be_bytes());
            let length = piece.min(usize::try_from(self.bytes - sent).unwrap_or(piece));
            digest.update(&block[..length]);
            to.write_all(&block[..length])?;
            sent += length as u64;
            if let Some(pace) = self.pace {
                let due = Duration::from_secs_f64(sent as f64 / pace.max(1) as f64);
                sleep(due.saturating_sub(start.elapsed()));
            }
        }
        to.shutdown(Shutdown::Write)?;
        Ok(digest.finish())
    }
}

impl RunningDownload {
    /// How many bytes have arrived so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Waits until so many bytes have arrived.
    ///
    /// # Errors
    /// They did not in time.
    pub fn wait_for(&self, bytes: u64, limit: Duration) -> Result<()> {
        let start = Instant::now();
        while self.received() < bytes {
            if start.elapsed() > limit {
                return Err(Error::Timeout { what: format!("byte {bytes} of a download"), limit });
            }
            sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Lets the server send no more: what it has sent by then is all of it.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Waits for its end, however long it makes progress.
    ///
    /// # Errors
    /// A thread of the lab's panicked.
    pub fn finish(mut self) -> Result<Transfer> {
        let panicked = || Error::wrong("the download's own thread panicked");
        let client = self.client.take().ok_or_else(panicked)?.join();
        let (mut transfer, received) = client.map_err(|_| panicked())?;
        if transfer.error.is_some() {
            self.cut();
        }
        let server = self.server.take().ok_or_else(panicked)?.join();
        match server.map_err(|_| panicked())? {
            Ok(sent) => {
                transfer.intact = transfer.error.is_none() && sent.as_ref() == received.as_ref();
            }
            Err(error) => {
                transfer.error.get_or_insert(format!("the server could not send: {error}"));
            }
        }
        Ok(transfer)
    }

    fn cut(&self) {
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for RunningDownload {
    fn drop(&mut self) {
        self.cut();
    }
}

impl fmt::Debug for RunningDownload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunningDownload({} bytes so far)", self.received())
    }
}

fn receive(mut from: TcpStream, received: &AtomicU64) -> (Transfer, Digest) {
    let mut digest = Context::new(&SHA256);
    let start = now();
    let mut transfer = Transfer {
        bytes: 0,
        intact: false,
        duration: Duration::ZERO,
        longest_stall: Duration::ZERO,
        stall_start: start,
        error: None,
    };
    let mut last = start;
    let mut buffer = vec![0; BLOCK];
    loop {
        let result = from.read(&mut buffer);
        let arrived = now();
        if arrived.since(last) > transfer.longest_stall {
            (transfer.longest_stall, transfer.stall_start) = (arrived.since(last), last);
        }
        match result {
            Ok(0) => break,
            Ok(length) => {
                digest.update(&buffer[..length]);
                transfer.bytes += length as u64;
                received.store(transfer.bytes, Ordering::Relaxed);
                last = arrived;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                transfer.error = Some(format!("the client could not receive: {error}"));
                break;
            }
        }
    }
    transfer.duration = last.since(start);
    (transfer, digest.finish())
}

const BLOCK: usize = 128 * 1024;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
