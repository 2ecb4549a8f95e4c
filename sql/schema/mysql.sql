CREATE TABLE mih_version (
    version_num VARCHAR(32) NOT NULL, 
    CONSTRAINT mih_version_pkc PRIMARY KEY (version_num)
);

-- Running upgrade  -> 0001

CREATE TABLE mih_circuits (
    service VARCHAR(100) NOT NULL, 
    state VARCHAR(20) NOT NULL, 
    failures INTEGER NOT NULL, 
    opened_at DATETIME(6), 
    probe_at DATETIME(6), 
    last_error TEXT, 
    last_error_at DATETIME(6), 
    updated_at DATETIME(6) NOT NULL, 
    PRIMARY KEY (service)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE mih_counts (
    hour DATETIME(6) NOT NULL, 
    rule VARCHAR(100) NOT NULL, 
    what VARCHAR(20) NOT NULL, 
    n BIGINT NOT NULL, 
    PRIMARY KEY (hour, rule, what)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE mih_cursors (
    site VARCHAR(100) NOT NULL, 
    position BIGINT NOT NULL, 
    head BIGINT, 
    fence BIGINT NOT NULL, 
    leased_by VARCHAR(100), 
    leased_until DATETIME(6), 
    caught_up_at DATETIME(6), 
    problem TEXT, 
    updated_at DATETIME(6) NOT NULL, 
    PRIMARY KEY (site)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE mih_dlq (
    id BIGINT NOT NULL AUTO_INCREMENT, 
    delivery_id VARCHAR(36) NOT NULL, 
    rule VARCHAR(100), 
    service VARCHAR(100) NOT NULL, 
    event VARCHAR(255), 
    log_id BIGINT, 
    method VARCHAR(20) NOT NULL, 
    endpoint TEXT NOT NULL, 
    headers TEXT, 
    payload LONGTEXT, 
    content_type VARCHAR(100), 
    event_row LONGTEXT, 
    reason VARCHAR(20) NOT NULL, 
    error TEXT NOT NULL, 
    status INTEGER, 
    response TEXT, 
    attempts INTEGER NOT NULL, 
    created_at DATETIME(6) NOT NULL, 
    PRIMARY KEY (id), 
    UNIQUE (delivery_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX mih_dlq_rule ON mih_dlq (rule, created_at);

CREATE INDEX mih_dlq_service ON mih_dlq (service, created_at);

CREATE TABLE mih_gaps (
    id BIGINT NOT NULL AUTO_INCREMENT, 
    site VARCHAR(100) NOT NULL, 
    first_id BIGINT NOT NULL, 
    last_id BIGINT NOT NULL, 
    state VARCHAR(20) NOT NULL, 
    seen_at DATETIME(6) NOT NULL, 
    closed_at DATETIME(6), 
    reason TEXT, 
    PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX mih_gaps_state ON mih_gaps (site, state, first_id);

CREATE TABLE mih_log (
    id BIGINT NOT NULL AUTO_INCREMENT, 
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
    created_at DATETIME(6) NOT NULL, 
    PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX mih_log_created ON mih_log (created_at);

CREATE INDEX mih_log_delivery ON mih_log (delivery_id);

CREATE INDEX mih_log_service ON mih_log (service, created_at);

CREATE TABLE mih_queue (
    id BIGINT NOT NULL AUTO_INCREMENT, 
    delivery_id VARCHAR(36) NOT NULL, 
    rule VARCHAR(100), 
    rule_version VARCHAR(20), 
    service VARCHAR(100) NOT NULL, 
    event VARCHAR(255), 
    log_id BIGINT, 
    method VARCHAR(20) NOT NULL, 
    endpoint TEXT NOT NULL, 
    headers TEXT, 
    payload LONGTEXT, 
    content_type VARCHAR(100), 
    state VARCHAR(20) NOT NULL, 
    attempts INTEGER NOT NULL, 
    due_at DATETIME(6) NOT NULL, 
    leased_by VARCHAR(100), 
    leased_until DATETIME(6), 
    last_status INTEGER, 
    last_error TEXT, 
    event_at DATETIME(6), 
    created_at DATETIME(6) NOT NULL, 
    settled_at DATETIME(6), 
    PRIMARY KEY (id), 
    UNIQUE (delivery_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX mih_queue_due ON mih_queue (service, state, due_at, id);

CREATE INDEX mih_queue_lease ON mih_queue (state, leased_until);

CREATE INDEX mih_queue_rule ON mih_queue (rule, log_id);

CREATE INDEX mih_queue_settled ON mih_queue (state, settled_at);

CREATE TABLE mih_replicas (
    name VARCHAR(100) NOT NULL, 
    `role` VARCHAR(20) NOT NULL, 
    host VARCHAR(100) NOT NULL, 
    pid INTEGER NOT NULL, 
    version VARCHAR(20) NOT NULL, 
    started_at DATETIME(6) NOT NULL, 
    seen_at DATETIME(6) NOT NULL, 
    tail_at DATETIME(6), 
    dispatch_at DATETIME(6), 
    PRIMARY KEY (name)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE mih_rules (
    name VARCHAR(100) NOT NULL, 
    event TEXT NOT NULL, 
    service VARCHAR(100) NOT NULL, 
    method VARCHAR(20) NOT NULL, 
    endpoint TEXT NOT NULL, 
    enabled BOOL NOT NULL, 
    version VARCHAR(20) NOT NULL, 
    definition LONGTEXT NOT NULL, 
    source VARCHAR(20) NOT NULL, 
    updated_at DATETIME(6) NOT NULL, 
    PRIMARY KEY (name)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE mih_services (
    name VARCHAR(100) NOT NULL, 
    type VARCHAR(20) NOT NULL, 
    base_url TEXT NOT NULL, 
    auth VARCHAR(20) NOT NULL, 
    settings TEXT NOT NULL, 
    source VARCHAR(20) NOT NULL, 
    enabled BOOL NOT NULL, 
    paused BOOL NOT NULL, 
    updated_at DATETIME(6) NOT NULL, 
    PRIMARY KEY (name)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO mih_version (version_num) VALUES ('0001');

-- Running upgrade 0001 -> 0002

ALTER TABLE mih_circuits ADD COLUMN failed_probes INTEGER NOT NULL DEFAULT '0';

ALTER TABLE mih_circuits ADD COLUMN window_requests INTEGER NOT NULL DEFAULT '0';

ALTER TABLE mih_circuits ADD COLUMN window_failures INTEGER NOT NULL DEFAULT '0';

ALTER TABLE mih_circuits ADD COLUMN window_at DATETIME(6);

ALTER TABLE mih_circuits ADD COLUMN next_slot_at DATETIME(6);

ALTER TABLE mih_log ADD COLUMN request TEXT;

UPDATE mih_version SET version_num='0002' WHERE mih_version.version_num = '0001';

-- Running upgrade 0002 -> 0003

CREATE TABLE mih_definitions (
    kind VARCHAR(20) NOT NULL, 
    name VARCHAR(100) NOT NULL, 
    definition LONGTEXT NOT NULL, 
    revision INTEGER NOT NULL, 
    updated_by VARCHAR(100) NOT NULL, 
    updated_at DATETIME(6) NOT NULL, 
    PRIMARY KEY (kind, name)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE mih_secrets (
    name VARCHAR(200) NOT NULL, 
    sealed LONGTEXT NOT NULL, 
    key_id VARCHAR(20) NOT NULL, 
    updated_at DATETIME(6) NOT NULL, 
    PRIMARY KEY (name)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE mih_audit (
    id BIGINT NOT NULL AUTO_INCREMENT, 
    done_at DATETIME(6) NOT NULL, 
    who VARCHAR(100) NOT NULL, 
    via VARCHAR(20) NOT NULL, 
    action VARCHAR(100) NOT NULL, 
    object VARCHAR(200) NOT NULL, 
    detail TEXT, 
    PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE mih_users (
    name VARCHAR(100) NOT NULL, 
    password_hash VARCHAR(255) NOT NULL, 
    `role` VARCHAR(20) NOT NULL, 
    created_at DATETIME(6) NOT NULL, 
    updated_at DATETIME(6) NOT NULL, 
    PRIMARY KEY (name)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE mih_sessions (
    token_hash VARCHAR(64) NOT NULL, 
    user_name VARCHAR(100) NOT NULL, 
    `role` VARCHAR(20) NOT NULL, 
    via VARCHAR(20) NOT NULL, 
    csrf VARCHAR(64) NOT NULL, 
    created_at DATETIME(6) NOT NULL, 
    seen_at DATETIME(6) NOT NULL, 
    expires_at DATETIME(6) NOT NULL, 
    PRIMARY KEY (token_hash)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE mih_stats (
    span VARCHAR(20) NOT NULL, 
    service VARCHAR(100) NOT NULL, 
    begins_at DATETIME(6) NOT NULL, 
    delivered INTEGER NOT NULL, 
    failed INTEGER NOT NULL, 
    dead INTEGER NOT NULL, 
    latency_ms FLOAT NOT NULL, 
    latencies TEXT NOT NULL, 
    PRIMARY KEY (span, service, begins_at)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX mih_audit_done ON mih_audit (done_at);

CREATE INDEX mih_sessions_expires ON mih_sessions (expires_at);

CREATE INDEX mih_stats_begins ON mih_stats (span, begins_at);

UPDATE mih_version SET version_num='0003' WHERE mih_version.version_num = '0002';

-- Running upgrade 0003 -> 0004

ALTER TABLE mih_gaps ADD COLUMN missing BIGINT NOT NULL DEFAULT '0';

ALTER TABLE mih_gaps ADD COLUMN bits LONGTEXT;

UPDATE mih_gaps SET missing = last_id - first_id + 1;

UPDATE mih_version SET version_num='0004' WHERE mih_version.version_num = '0003';

-- Running upgrade 0004 -> 0005

CREATE TABLE mih_watch (
    site VARCHAR(100) NOT NULL, 
    subject VARCHAR(20) NOT NULL, 
    level VARCHAR(20) NOT NULL, 
    code VARCHAR(20) NOT NULL, 
    detail TEXT NOT NULL, 
    since_at DATETIME(6) NOT NULL, 
    seen_at DATETIME(6) NOT NULL, 
    PRIMARY KEY (site, subject)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX mih_dlq_created ON mih_dlq (created_at, service);

DROP INDEX mih_stats_begins ON mih_stats;

CREATE INDEX mih_stats_begins ON mih_stats (span, begins_at, service, delivered, failed, dead);

UPDATE mih_version SET version_num='0005' WHERE mih_version.version_num = '0004';

-- Running upgrade 0005 -> 0006

ALTER TABLE mih_queue ADD COLUMN original LONGTEXT;

CREATE INDEX mih_dlq_reason ON mih_dlq (reason, service, status, created_at);

UPDATE mih_version SET version_num='0006' WHERE mih_version.version_num = '0005';

-- Running upgrade 0006 -> 0007

CREATE TABLE mih_rule_versions (
    site VARCHAR(100) NOT NULL, 
    rule VARCHAR(100) NOT NULL, 
    from_id BIGINT NOT NULL, 
    late_from_id BIGINT NOT NULL, 
    version VARCHAR(20) NOT NULL, 
    definition LONGTEXT, 
    since DATETIME(6) NOT NULL, 
    PRIMARY KEY (site, rule, from_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE mih_replays (
    id BIGINT NOT NULL AUTO_INCREMENT, 
    site VARCHAR(100) NOT NULL, 
    rule VARCHAR(100) NOT NULL, 
    state VARCHAR(20) NOT NULL, 
    ids LONGTEXT NOT NULL, 
    event_since DATETIME(6), 
    event_until DATETIME(6), 
    position BIGINT NOT NULL, 
    again BOOL NOT NULL, 
    rate FLOAT, 
    next_at DATETIME(6), 
    expected BIGINT NOT NULL, 
    looked_at BIGINT NOT NULL, 
    queued BIGINT NOT NULL, 
    known BIGINT NOT NULL, 
    filtered BIGINT NOT NULL, 
    dead BIGINT NOT NULL, 
    problem TEXT, 
    created_by VARCHAR(100) NOT NULL, 
    created_at DATETIME(6) NOT NULL, 
    updated_at DATETIME(6) NOT NULL, 
    finished_at DATETIME(6), 
    fence BIGINT NOT NULL, 
    leased_by VARCHAR(100), 
    leased_until DATETIME(6), 
    PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX mih_replays_state ON mih_replays (site, state, id);

ALTER TABLE mih_queue ADD COLUMN lane INTEGER NOT NULL DEFAULT '0';

DROP INDEX mih_queue_due ON mih_queue;

CREATE INDEX mih_queue_due ON mih_queue (service, state, lane, due_at, id);

UPDATE mih_version SET version_num='0007' WHERE mih_version.version_num = '0006';

-- Running upgrade 0007 -> 0008

ALTER TABLE mih_queue ADD COLUMN order_key VARCHAR(20);

ALTER TABLE mih_queue ADD COLUMN expires_at DATETIME(6);

CREATE INDEX mih_queue_order ON mih_queue (order_key, state, log_id);

CREATE INDEX mih_queue_expires ON mih_queue (expires_at);

ALTER TABLE mih_circuits ADD COLUMN drain_before DATETIME(6);

ALTER TABLE mih_circuits ADD COLUMN next_drain_at DATETIME(6);

UPDATE mih_version SET version_num='0008' WHERE mih_version.version_num = '0007';

-- Running upgrade 0008 -> 0009

CREATE INDEX mih_audit_object ON mih_audit (object, action, id);

CREATE INDEX mih_audit_who ON mih_audit (who, id);

CREATE INDEX mih_audit_action ON mih_audit (action, id);

UPDATE mih_version SET version_num='0009' WHERE mih_version.version_num = '0008';

-- Running upgrade 0009 -> 0010

ALTER TABLE mih_replicas ADD COLUMN problem TEXT;

UPDATE mih_version SET version_num='0010' WHERE mih_version.version_num = '0009';

