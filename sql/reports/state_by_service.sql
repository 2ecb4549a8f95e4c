-- How many deliveries of each service stand where: what is pending, what was delivered, what is dead.
SELECT service,
       state,
       COUNT(*) AS deliveries,
       MIN(created_at) AS oldest_at,
       MAX(created_at) AS newest_at
  FROM mih_queue
 GROUP BY service, state
 ORDER BY service, state
