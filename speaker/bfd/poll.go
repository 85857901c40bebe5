package bfd

import "time"

// poll is a Poll Sequence (RFC 5880 section 6.5) and what it holds back: the intervals in use (section 6.8.3).
type poll struct {
	active bool
	// In use. While a session is Up, a longer interval between our packets, or a shorter one between the neighbour's, waits
	// for the neighbour's Final: it reckons its Detection Time, or sends, by the old value until it knows the new one.
	desiredMinTx, requiredMinRx time.Duration
	// Polls that were sent and not answered, and when the last was. As long as there are some, a Final might answer one of
	// them rather than one of the next sequence.
	unanswered int
	last       time.Time
	// Another sequence shall start at the time again, or once all Polls are answered.
	waiting bool
	again   time.Time
}

func (p *poll) sent(now time.Time) {
	p.unanswered++
	p.last = now
}

// negotiate brings what we say to the neighbour in line with what is wanted in the present state.
func (m *machine) negotiate(now time.Time) {
	tx, rx := m.wanted.TransmitInterval, m.wanted.ReceiveInterval
	if m.sessionState != Up {
		tx = max(tx, slowInterval)
		// The neighbour takes nothing for lost yet, so the values hold at once.
		m.desiredMinTx, m.requiredMinRx = tx, rx
		m.poll.desiredMinTx, m.poll.requiredMinRx = tx, rx
		m.poll.active, m.poll.waiting = false, false
		return
	}
	if m.echo.working {
		rx = max(rx, slowInterval)
	}
	if tx == m.desiredMinTx && rx == m.requiredMinRx {
		m.poll.waiting = false
		return
	}
	if m.poll.active {
		// finishPoll comes back here.
		return
	}
	if again := m.poll.last.Add(m.detectionTime()); m.poll.unanswered > 0 && now.Before(again) {
		m.poll.waiting, m.poll.again = true, again
		return
	}
	m.poll.waiting, m.poll.unanswered = false, 0
	m.desiredMinTx, m.requiredMinRx = tx, rx
	m.poll.desiredMinTx = min(m.poll.desiredMinTx, tx)
	m.poll.requiredMinRx = max(m.poll.requiredMinRx, rx)
	m.poll.active = true
	m.transmission.soon = true
}

// finishPoll takes in a Final.
func (m *machine) finishPoll(now time.Time) {
	if m.poll.unanswered == 0 {
		return
	}
	m.poll.unanswered--
	if m.poll.active {
		m.poll.active = false
		m.poll.desiredMinTx, m.poll.requiredMinRx = m.desiredMinTx, m.requiredMinRx
	}
	m.negotiate(now)
}

// pollAgain starts the sequence that had to wait.
func (m *machine) pollAgain(now time.Time) {
	if m.poll.waiting && !now.Before(m.poll.again) {
		m.poll.unanswered = 0
		m.negotiate(now)
		m.schedule(now)
	}
}
