CREATE TABLE mih_version (
    version_num VARCHAR(32) NOT NULL, 
    CONSTRAINT mih_version_pkc PRIMARY KEY (version_num)
);

-- Running upgrade  -> 0001

CREATE TABLE mih_circuits (
    service VARCHAR(100) NOT NULL, 
    state VARCHAR(20) NOT NULL, 
    failures INTEGER NOT NULL, 
    opened_at DATETIME, 
    probe_at DATETIME, 
    last_error TEXT, 
    last_error_at DATETIME, 
    updated_at DATETIME NOT NULL, 
    PRIMARY KEY (service)
);

CREATE TABLE mih_counts (
    hour DATETIME NOT NULL, 
    rule VARCHAR(100) NOT NULL, 
    what VARCHAR(20) NOT NULL, 
    n INTEGER NOT NULL, 
    PRIMARY KEY (hour, rule, what)
);

CREATE TABLE mih_cursors (
    site VARCHAR(100) NOT NULL, 
    position INTEGER NOT NULL, 
    head INTEGER, 
    fence INTEGER NOT NULL, 
    leased_by VARCHAR(100), 
    leased_until DATETIME, 
    caught_up_at DATETIME, 
    problem TEXT, 
    updated_at DATETIME NOT NULL, 
    PRIMARY KEY (site)
);

CREATE TABLE mih_dlq (
    id INTEGER NOT NULL, 
    delivery_id VARCHAR(36) NOT NULL, 
    rule VARCHAR(100), 
    service VARCHAR(100) NOT NULL, 
    event VARCHAR(255), 
    log_id INTEGER, 
    method VARCHAR(20) NOT NULL, 
    endpoint TEXT NOT NULL, 
    headers TEXT, 
    payload TEXT, 
    content_type VARCHAR(100), 
    event_row TEXT, 
    reason VARCHAR(20) NOT NULL, 
    error TEXT NOT NULL, 
    status INTEGER, 
    response TEXT, 
    attempts INTEGER NOT NULL, 
    created_at DATETIME NOT NULL, 
    PRIMARY KEY (id), 
    UNIQUE (delivery_id)
);

CREATE INDEX mih_dlq_rule ON mih_dlq (rule, created_at);

CREATE INDEX mih_dlq_service ON mih_dlq (service, created_at);

CREATE TABLE mih_gaps (
    id INTEGER NOT NULL, 
    site VARCHAR(100) NOT NULL, 
    first_id INTEGER NOT NULL, 
    last_id INTEGER NOT NULL, 
    state VARCHAR(20) NOT NULL, 
    seen_at DATETIME NOT NULL, 
    closed_at DATETIME, 
    reason TEXT, 
    PRIMARY KEY (id)
);

CREATE INDEX mih_gaps_state ON mih_gaps (site, state, first_id);

CREATE TABLE mih_log (
    id INTEGER NOT NULL, 
    delivery_id VARCHAR(36) NOT NULL, 
    rule VARCHAR(100), 
    service VARCHAR(100) NOT NULL, 
    method VARCHAR(20) NOT NULL, 
    endpoint TEXT NOT NULL, 
    attempt INTEGER NOT NULL, 
    outcome VARCHAR(20) NOT NULL, 
    status INTEGER, 
    latency_ms FLOAT NOT NULL, 
    error TEXT, 
    response TEXT, 
    replica VARCHAR(100) NOT NULL, 
    created_at DATETIME NOT NULL, 
    PRIMARY KEY (id)
);

CREATE INDEX mih_log_created ON mih_log (created_at);

CREATE INDEX mih_log_delivery ON mih_log (delivery_id);

CREATE INDEX mih_log_service ON mih_log (service, created_at);

CREATE TABLE mih_queue (
    id INTEGER NOT NULL, 
    delivery_id VARCHAR(36) NOT NULL, 
    rule VARCHAR(100), 
    rule_version VARCHAR(20), 
    service VARCHAR(100) NOT NULL, 
    event VARCHAR(255), 
    log_id INTEGER, 
    method VARCHAR(20) NOT NULL, 
    endpoint TEXT NOT NULL, 
    headers TEXT, 
    payload TEXT, 
    content_type VARCHAR(100), 
    state VARCHAR(20) NOT NULL, 
    attempts INTEGER NOT NULL, 
    due_at DATETIME NOT NULL, 
    leased_by VARCHAR(100), 
    leased_until DATETIME, 
    last_status INTEGER, 
    last_error TEXT, 
    event_at DATETIME, 
    created_at DATETIME NOT NULL, 
    settled_at DATETIME, 
    PRIMARY KEY (id), 
    UNIQUE (delivery_id)
);

CREATE INDEX mih_queue_due ON mih_queue (service, state, due_at, id);

CREATE INDEX mih_queue_lease ON mih_queue (state, leased_until);

CREATE INDEX mih_queue_rule ON mih_queue (rule, log_id);

CREATE INDEX mih_queue_settled ON mih_queue (state, settled_at);

CREATE TABLE mih_replicas (
    name VARCHAR(100) NOT NULL, 
    role VARCHAR(20) NOT NULL, 
    host VARCHAR(100) NOT NULL, 
    pid INTEGER NOT NULL, 
    version VARCHAR(20) NOT NULL, 
    started_at DATETIME NOT NULL, 
    seen_at DATETIME NOT NULL, 
    tail_at DATETIME, 
    dispatch_at DATETIME, 
    PRIMARY KEY (name)
);

CREATE TABLE mih_rules (
    name VARCHAR(100) NOT NULL, 
    event TEXT NOT NULL, 
    service VARCHAR(100) NOT NULL, 
    method VARCHAR(20) NOT NULL, 
    endpoint TEXT NOT NULL, 
    enabled BOOLEAN NOT NULL, 
    version VARCHAR(20) NOT NULL, 
    definition TEXT NOT NULL, 
    source VARCHAR(20) NOT NULL, 
    updated_at DATETIME NOT NULL, 
    PRIMARY KEY (name)
);

CREATE TABLE mih_services (
    name VARCHAR(100) NOT NULL, 
    type VARCHAR(20) NOT NULL, 
    base_url TEXT NOT NULL, 
    auth VARCHAR(20) NOT NULL, 
    settings TEXT NOT NULL, 
    source VARCHAR(20) NOT NULL, 
    enabled BOOLEAN NOT NULL, 
    paused BOOLEAN NOT NULL, 
    updated_at DATETIME NOT NULL, 
    PRIMARY KEY (name)
);

INSERT INTO mih_version (version_num) VALUES ('0001') RETURNING version_num;

-- Running upgrade 0001 -> 0002

ALTER TABLE mih_circuits ADD COLUMN failed_probes INTEGER DEFAULT '0' NOT NULL;

ALTER TABLE mih_circuits ADD COLUMN window_requests INTEGER DEFAULT '0' NOT NULL;

ALTER TABLE mih_circuits ADD COLUMN window_failures INTEGER DEFAULT '0' NOT NULL;

ALTER TABLE mih_circuits ADD COLUMN window_at DATETIME;

ALTER TABLE mih_circuits ADD COLUMN next_slot_at DATETIME;

ALTER TABLE mih_log ADD COLUMN request TEXT;

UPDATE mih_version SET version_num='0002' WHERE mih_version.version_num = '0001';

-- Running upgrade 0002 -> 0003

CREATE TABLE mih_definitions (
    kind VARCHAR(20) NOT NULL, 
    name VARCHAR(100) NOT NULL, 
    definition TEXT NOT NULL, 
    revision INTEGER NOT NULL, 
    updated_by VARCHAR(100) NOT NULL, 
    updated_at DATETIME NOT NULL, 
    PRIMARY KEY (kind, name)
);

CREATE TABLE mih_secrets (
    name VARCHAR(200) NOT NULL, 
    sealed TEXT NOT NULL, 
    key_id VARCHAR(20) NOT NULL, 
    updated_at DATETIME NOT NULL, 
    PRIMARY KEY (name)
);

CREATE TABLE mih_audit (
    id INTEGER NOT NULL, 
    done_at DATETIME NOT NULL, 
    who VARCHAR(100) NOT NULL, 
    via VARCHAR(20) NOT NULL, 
    action VARCHAR(100) NOT NULL, 
    object VARCHAR(200) NOT NULL, 
    detail TEXT, 
    PRIMARY KEY (id)
);

CREATE TABLE mih_users (
    name VARCHAR(100) NOT NULL, 
    password_hash VARCHAR(255) NOT NULL, 
    role VARCHAR(20) NOT NULL, 
    created_at DATETIME NOT NULL, 
    updated_at DATETIME NOT NULL, 
    PRIMARY KEY (name)
);

CREATE TABLE mih_sessions (
    token_hash VARCHAR(64) NOT NULL, 
    user_name VARCHAR(100) NOT NULL, 
    role VARCHAR(20) NOT NULL, 
    via VARCHAR(20) NOT NULL, 
    csrf VARCHAR(64) NOT NULL, 
    created_at DATETIME NOT NULL, 
    seen_at DATETIME NOT NULL, 
    expires_at DATETIME NOT NULL, 
    PRIMARY KEY (token_hash)
);

CREATE TABLE mih_stats (
    span VARCHAR(20) NOT NULL, 
    service VARCHAR(100) NOT NULL, 
    begins_at DATETIME NOT NULL, 
    delivered INTEGER NOT NULL, 
    failed INTEGER NOT NULL, 
    dead INTEGER NOT NULL, 
    latency_ms FLOAT NOT NULL, 
    latencies TEXT NOT NULL, 
    PRIMARY KEY (span, service, begins_at)
);

CREATE INDEX mih_audit_done ON mih_audit (done_at);

CREATE INDEX mih_sessions_expires ON mih_sessions (expires_at);

CREATE INDEX mih_stats_begins ON mih_stats (span, begins_at);

UPDATE mih_version SET version_num='0003' WHERE mih_version.version_num = '0002';

-- Running upgrade 0003 -> 0004

ALTER TABLE mih_gaps ADD COLUMN missing INTEGER DEFAULT '0' NOT NULL;

ALTER TABLE mih_gaps ADD COLUMN bits TEXT;

UPDATE mih_gaps SET missing = last_id - first_id + 1;

UPDATE mih_version SET version_num='0004' WHERE mih_version.version_num = '0003';

-- Running upgrade 0004 -> 0005

CREATE TABLE mih_watch (
    site VARCHAR(100) NOT NULL, 
    subject VARCHAR(20) NOT NULL, 
    level VARCHAR(20) NOT NULL, 
    code VARCHAR(20) NOT NULL, 
    detail TEXT NOT NULL, 
    since_at DATETIME NOT NULL, 
    seen_at DATETIME NOT NULL, 
    PRIMARY KEY (site, subject)
);

CREATE INDEX mih_dlq_created ON mih_dlq (created_at, service);

DROP INDEX mih_stats_begins;

CREATE INDEX mih_stats_begins ON mih_stats (span, begins_at, service, delivered, failed, dead);

UPDATE mih_version SET version_num='0005' WHERE mih_version.version_num = '0004';

-- Running upgrade 0005 -> 0006

ALTER TABLE mih_queue ADD COLUMN original TEXT;

CREATE INDEX mih_dlq_reason ON mih_dlq (reason, service, status, created_at);

UPDATE mih_version SET version_num='0006' WHERE mih_version.version_num = '0005';

-- Running upgrade 0006 -> 0007

CREATE TABLE mih_rule_versions (
    site VARCHAR(100) NOT NULL, 
    rule VARCHAR(100) NOT NULL, 
    from_id INTEGER NOT NULL, 
    late_from_id INTEGER NOT NULL, 
    version VARCHAR(20) NOT NULL, 
    definition TEXT, 
    since DATETIME NOT NULL, 
    PRIMARY KEY (site, rule, from_id)
);

CREATE TABLE mih_replays (
    id INTEGER NOT NULL, 
    site VARCHAR(100) NOT NULL, 
    rule VARCHAR(100) NOT NULL, 
    state VARCHAR(20) NOT NULL, 
    ids TEXT NOT NULL, 
    event_since DATETIME, 
    event_until DATETIME, 
    position INTEGER NOT NULL, 
    again BOOLEAN NOT NULL, 
    rate FLOAT, 
    next_at DATETIME, 
    expected INTEGER NOT NULL, 
    looked_at INTEGER NOT NULL, 
    queued INTEGER NOT NULL, 
    known INTEGER NOT NULL, 
    filtered INTEGER NOT NULL, 
    dead INTEGER NOT NULL, 
    problem TEXT, 
    created_by VARCHAR(100) NOT NULL, 
    created_at DATETIME NOT NULL, 
    updated_at DATETIME NOT NULL, 
    finished_at DATETIME, 
    fence INTEGER NOT NULL, 
    leased_by VARCHAR(100), 
    leased_until DATETIME, 
    PRIMARY KEY (id)
);

CREATE INDEX mih_replays_state ON mih_replays (site, state, id);

ALTER TABLE mih_queue ADD COLUMN lane INTEGER DEFAULT '0' NOT NULL;

DROP INDEX mih_queue_due;

CREATE INDEX mih_queue_due ON mih_queue (service, state, lane, due_at, id);

UPDATE mih_version SET version_num='0007' WHERE mih_version.version_num = '0006';

-- Running upgrade 0007 -> 0008

ALTER TABLE mih_queue ADD COLUMN order_key VARCHAR(20);

ALTER TABLE mih_queue ADD COLUMN expires_at DATETIME;

CREATE INDEX mih_queue_order ON mih_queue (order_key, state, log_id) WHERE order_key IS NOT NULL;

CREATE INDEX mih_queue_expires ON mih_queue (expires_at) WHERE expires_at IS NOT NULL;

ALTER TABLE mih_circuits ADD COLUMN drain_before DATETIME;

ALTER TABLE mih_circuits ADD COLUMN next_drain_at DATETIME;

UPDATE mih_version SET version_num='0008' WHERE mih_version.version_num = '0007';

-- Running upgrade 0008 -> 0009

CREATE INDEX mih_audit_object ON mih_audit (object, action, id);

CREATE INDEX mih_audit_who ON mih_audit (who, id);

CREATE INDEX mih_audit_action ON mih_audit (action, id);

UPDATE mih_version SET version_num='0009' WHERE mih_version.version_num = '0008';

-- Running upgrade 0009 -> 0010

ALTER TABLE mih_replicas ADD COLUMN problem TEXT;

UPDATE mih_version SET version_num='0010' WHERE mih_version.version_num = '0009';

