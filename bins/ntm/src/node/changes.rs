use ntm_core::id::NodeName;
use tokio::sync::oneshot;

use super::control::Response;

/// Changes of members that are under way, and the clients that wait until they
/// are durable. The registry takes them in their order, so the next outcome for
/// a name is that of its oldest change.
#[derive(Default)]
pub(crate) struct Changes(Vec<Change>);

struct Change {
    name: NodeName,
    /// Nobody, once that it takes too long has been told.
    client: Option<oneshot::Sender<Response>>,
}

impl Changes {
    pub(crate) fn begin(&mut self, name: NodeName, client: oneshot::Sender<Response>) {
        self.0.push(Change { name, client: Some(client) });
    }

    /// The registry has not answered in time. It may yet.
    pub(crate) fn late(&mut self, name: &NodeName, response: Response) {
        let mut clients = self.0.iter_mut().filter(|change| change.name == *name);
        if let Some(client) = clients.find_map(|change| change.client.take()) {
            // The client may have gone; that is its right.
            let _gone = client.send(response);
        }
    }

    /// The registry has answered.
    pub(crate) fn end(&mut self, name: &NodeName, response: Response) {
        let Some(at) = self.0.iter().position(|change| change.name == *name) else { return };
        if let Some(client) = self.0.remove(at).client {
            let _gone = client.send(response);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_late_answer_reaches_nobody_who_waits_for_another() {
        let name: NodeName = "cn.example".parse().unwrap();
        let ok = || Response::Ok(Value::Null);
        let mut changes = Changes::default();
        let (client, mut adds) = oneshot::channel();
        changes.begin(name.clone(), client);
        changes.late(&name, Response::Error("not stored".into()));
        assert!(matches!(adds.try_recv(), Ok(Response::Error(_))));

        let (client, mut removes) = oneshot::channel();
        changes.begin(name.clone(), client);
        changes.end(&"bn.example".parse().unwrap(), ok());
        changes.end(&name, ok());
        assert!(removes.try_recv().is_err(), "it was added only now");
        changes.end(&name, ok());
        assert!(matches!(removes.try_recv(), Ok(Response::Ok(_))));
        assert!(changes.0.is_empty());
    }
}
