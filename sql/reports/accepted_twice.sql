-- Deliveries that a service has accepted more than once: after a lost answer, a killed process or a replay.
SELECT delivery_id,
       service,
       MAX(rule) AS rule,
       COUNT(*) AS times,
       MIN(created_at) AS first_at,
       MAX(created_at) AS last_at
  FROM mih_log
 WHERE outcome = 'delivered'
 GROUP BY delivery_id, service
HAVING COUNT(*) > 1
 ORDER BY times DESC, delivery_id
