-- How many tries the delivered deliveries of each service needed. Many rows above 1: a service that stutters.
SELECT service,
       attempts AS tries,
       COUNT(*) AS deliveries
  FROM mih_queue
 WHERE state = 'delivered'
 GROUP BY service, attempts
 ORDER BY service, attempts
