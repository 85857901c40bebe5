package agent

import ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"

// instructed takes in what a replica says of how the program is to run.
func (c *core) instructed(s *stream, settings *ingotv1.Settings) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.settings = settings
	c.heedSettings(s)
}

// heedSettings puts in force what the replica of a stream said last, if it leads in the lineage that is obeyed. Another one's
// are kept, in case it comes to be obeyed. The caller holds mu.
func (c *core) heedSettings(s *stream) {
	if s.settings == nil || !c.state.Authority(s.replica) {
		return
	}
	if said := s.settings.GetLogLevel(); said != c.told && c.setLogLevel(said) {
		c.save()
	}
}

// setLogLevel says whether the level is one that this version knows. The caller holds mu.
func (c *core) setLogLevel(said string) bool {
	if c.level != nil {
		if err := c.level.Object(said); err != nil {
			c.log.Warn("the MetalLB object asks for something unknown; going on as before", "op", "setLogLevel", "error", err)
			return false
		}
	}
	c.told = said
	return true
}
