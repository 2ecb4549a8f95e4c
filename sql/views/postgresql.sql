-- The view that needs this database's own arithmetic with time. All moments are UTC.

DROP VIEW IF EXISTS mih_v_failures;

-- What failed within the last 24 hours, by service, outcome and status.
CREATE VIEW mih_v_failures AS
SELECT service,
       outcome,
       status,
       COUNT(*) AS attempts,
       COUNT(DISTINCT delivery_id) AS deliveries,
       MIN(created_at) AS first_at,
       MAX(created_at) AS last_at,
       MAX(error) AS an_error
  FROM mih_log
 WHERE outcome <> 'delivered'
   AND created_at >= CURRENT_TIMESTAMP - INTERVAL '1 day'
 GROUP BY service, outcome, status;
