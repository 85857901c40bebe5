package service

import "time"

// tick tells the allocator the time. Where addresses have come to the end of their rest, those who wait are looked at
// again; for the next ones to do so an alarm is set. The caller holds mu.
func (c *Controller) tick() {
	if c.desk.ips.Advance(time.Now()) {
		c.retryPending()
	}
	at, ok := c.desk.ips.NextWake()
	if !ok || at.Equal(c.alarmAt) {
		return
	}
	c.alarmAt = at
	if c.alarm != nil {
		c.alarm.Stop()
	}
	c.alarm = time.AfterFunc(time.Until(at), c.ring)
}

// ring is the alarm.
func (c *Controller) ring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alarmAt = time.Time{}
	if c.synced {
		c.tick()
	}
}
