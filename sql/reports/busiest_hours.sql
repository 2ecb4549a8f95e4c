-- The ten hours with the most new deliveries, in UTC.
SELECT hour,
       SUM(n) AS deliveries
  FROM mih_counts
 WHERE what = 'queued'
 GROUP BY hour
 ORDER BY deliveries DESC, hour DESC
 LIMIT 10
