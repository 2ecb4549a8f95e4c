-- The errors of the request log, the most frequent first.
SELECT service,
       status,
       error,
       COUNT(*) AS attempts,
       COUNT(DISTINCT delivery_id) AS deliveries,
       MAX(created_at) AS last_at
  FROM mih_log
 WHERE outcome <> 'delivered'
 GROUP BY service, status, error
 ORDER BY attempts DESC, service, status, error
 LIMIT 20
